-- Both round trips of a call in one transaction: under load the calls that end and the calls that begin share one commit, which
-- halves the commits and doubles the batches. All wallets are locked first, in id order: settle and admit each lock in order, but
-- one after the other they would not.
CREATE OR REPLACE FUNCTION settle_and_admit(
    s_call uuid[], s_wallet bigint[], s_cost bigint[], s_status int[], s_outcome int[], s_input int[], s_cached int[], s_cache_write int[],
    s_output int[], s_reasoning int[], s_ms int[], s_first_ms int[], s_flags int[], s_detail text[],
    s_model int[], s_price int[], s_app text[],
    a_boot uuid, a_call uuid[], a_hash bytea[], a_base bigint[], a_least bigint[], a_most bigint[], a_model int[], a_price int[],
    a_models text[], a_ip text[],
    OUT settled int[], OUT codes int[], OUT wallets bigint[], OUT free bigint[], OUT held bigint[], OUT amounts bigint[]) LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
BEGIN
  PERFORM 1 FROM ledger_account a WHERE a.id = ANY (ARRAY(
      SELECT unnest(s_wallet)
      UNION SELECT w.id FROM api_key k JOIN ledger_account w ON w.customer_id = ANY (ARRAY[k.account_id]) AND w.kind = 'wallet' AND w.customer_id IS NOT NULL
             WHERE k.hash = ANY (a_hash))) ORDER BY a.id FOR NO KEY UPDATE;
  settled := settle(s_call, s_wallet, s_cost, s_status, s_outcome, s_input, s_cached, s_cache_write, s_output, s_reasoning, s_ms, s_first_ms, s_flags, s_detail,
                    s_model, s_price, s_app);
  SELECT t.codes, t.wallets, t.free, t.held, t.amounts INTO codes, wallets, free, held, amounts
    FROM admit(a_boot, a_call, a_hash, a_base, a_least, a_most, a_model, a_price, a_models, a_ip) t;
END $$;
