-- One round trip that does everything before a call: find the key by its hash, refuse what is revoked, expired, frozen, over its
-- limit or rate, choose the hold's size, take it. Nothing about money or authority is cached anywhere, so a revoked key is dead
-- at once in every process. Style of the statements: see billing/sql/verbs.sql.
--
-- A hold's size: p_most, or less where the caller named no bound (p_least < p_most): what the input costs (p_base) plus a quarter
-- of what is available, but at least p_least, and no more than the wallet and the key have left.
--
-- codes: 0 held · 1 this call holds already (a retry) · 2 unknown key · 3 revoked · 4 expired · 5 frozen · 6 rate_limited
--        7 key_limit · 8 insufficient_credits · 9 boot_ended · 10 this call is closed already · 11 model_not_allowed · 12 ip_not_allowed
--
-- p_models: the ids of the models that may answer, where they are more than p_model ('{1,2}'). p_ip: the client's address; a key
-- with networks refuses a call without one.
CREATE OR REPLACE FUNCTION admit(p_boot uuid, p_call uuid[], p_hash bytea[], p_base bigint[], p_least bigint[], p_most bigint[], p_model int[], p_price int[],
                      p_models text[] DEFAULT NULL, p_ip text[] DEFAULT NULL,
                      OUT codes int[], OUT wallets bigint[], OUT free bigint[], OUT held bigint[], OUT amounts bigint[]) LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
  keys bigint[]; key_free bigint[]; rpm_free int[]; fits boolean; rpm boolean;
  a_left bigint[]; k_left bigint[]; r_left int[]; a int; k int;
BEGIN
  PERFORM 1 FROM ledger_account a WHERE a.customer_id IS NOT NULL AND a.kind = 'wallet'
      AND a.customer_id IN (SELECT k.account_id FROM api_key k WHERE k.hash = ANY (p_hash)) ORDER BY a.id FOR NO KEY UPDATE;
  -- a new statement is a new snapshot: what follows sees all that was committed before the locks were ours
  SELECT array_agg(y.code ORDER BY y.n), array_agg(y.wallet_id ORDER BY y.n), array_agg(y.key_id ORDER BY y.n), array_agg(y.free ORDER BY y.n),
         array_agg(y.held ORDER BY y.n), array_agg(y.amount ORDER BY y.n), array_agg(y.key_free ORDER BY y.n), array_agg(y.rpm_free ORDER BY y.n),
         bool_and(y.code <> 0 OR (y.a_sum <= y.free AND y.k_sum <= coalesce(y.key_free, y.k_sum) AND y.k_count <= coalesce(y.rpm_free, y.k_count))),
         bool_or(y.code = 0 AND y.rpm_free IS NOT NULL)
    INTO codes, wallets, keys, free, held, amounts, key_free, rpm_free, fits, rpm
    FROM (SELECT x.*, sum(x.amount) FILTER (WHERE x.code = 0) OVER (PARTITION BY x.wallet_id) AS a_sum,
                 sum(x.amount) FILTER (WHERE x.code = 0) OVER (PARTITION BY x.wallet_id, x.key_id) AS k_sum,
                 count(*) FILTER (WHERE x.code = 0) OVER (PARTITION BY x.wallet_id, x.key_id) AS k_count
            -- GREATEST and LEAST ignore NULL: a bound that is missing must not become somebody else's, but NULL, which the table refuses
            FROM (SELECT w.*, CASE WHEN (w.base, w.least, w.most) IS NOT NULL THEN greatest(w.least, least(w.most, w.base + w.free / 4, w.free, w.key_free)) END AS amount
                    FROM (SELECT u.n, u.base, u.least, u.most, k.id AS key_id, a.id AS wallet_id, a.posted_nanos - a.held_nanos AS free, a.held_nanos AS held,
                         k.limit_nanos - k.held_nanos - CASE WHEN k.window_start < key_window(k.limit_window) THEN 0 ELSE k.spent_nanos END AS key_free,
                         CASE WHEN k.rpm_limit IS NOT NULL THEN floor((60 - greatest(0, extract(epoch FROM greatest(k.rpm_tat, now()) - now()))) * k.rpm_limit / 60 + 1e-6)::int END AS rpm_free,
                         CASE WHEN h.state = 'open' AND h.wallet_id = a.id THEN 1 WHEN h.id IS NOT NULL THEN 10
                              WHEN k.id IS NULL OR a.id IS NULL THEN 2 WHEN k.revoked_at <= now() OR k.disabled_at <= now() THEN 3 WHEN k.expires_at <= now() THEN 4 WHEN a.frozen THEN 5
                              WHEN b.id IS NULL THEN 9
                              WHEN k.allowed_model_ids IS NOT NULL AND NOT coalesce(u.models::int[], ARRAY[u.model]) <@ k.allowed_model_ids THEN 11
                              WHEN k.ip_ranges IS NOT NULL AND NOT EXISTS (SELECT FROM unnest(k.ip_ranges) AS r (range) WHERE u.ip::inet <<= r.range::cidr) THEN 12
                              ELSE 0 END AS code
                    FROM unnest(p_call, p_hash, p_base, p_least, p_most, p_model, p_models, p_ip) WITH ORDINALITY AS u (call, hash, base, least, most, model, models, ip, n)
                    LEFT JOIN api_key k ON k.hash = ANY (ARRAY[u.hash])
                    LEFT JOIN ledger_account a ON a.customer_id = ANY (ARRAY[k.account_id]) AND a.kind = 'wallet' AND a.customer_id IS NOT NULL
                    LEFT JOIN hold h ON h.id = ANY (ARRAY[u.call])
                    LEFT JOIN process_boot b ON b.id = p_boot AND b.ended_at IS NULL) w) x) y;
  IF NOT fits THEN  -- only now, and only in memory: first come, first served, and what does not fit takes nothing from those behind it
    a_left := free; k_left := key_free; r_left := rpm_free;
    FOR i IN 1 .. cardinality(codes) LOOP
      CONTINUE WHEN codes[i] <> 0 OR amounts[i] IS NULL;
      a := array_position(wallets, wallets[i]); k := array_position(keys, keys[i]);   -- the first row of a wallet/key carries what is left of it
      amounts[i] := greatest(p_least[i], least(p_most[i], p_base[i] + a_left[a] / 4, a_left[a], k_left[k]));
      IF r_left[k] < 1 THEN codes[i] := 6;
      ELSIF k_left[k] < amounts[i] THEN codes[i] := 7; free[i] := greatest(k_left[k], 0);
      ELSIF a_left[a] < amounts[i] THEN codes[i] := 8; free[i] := a_left[a];
      ELSE a_left[a] := a_left[a] - amounts[i]; k_left[k] := k_left[k] - amounts[i]; r_left[k] := r_left[k] - 1;
      END IF;
    END LOOP;
  END IF;
  INSERT INTO hold (id, wallet_id, key_id, boot_id, amount_nanos, checkpoint_nanos, checkpoint_input_tokens, checkpoint_output_tokens, model_id, price_id, state)
    SELECT u.call, u.wallet_id, u.key_id, p_boot, u.amount, 0, 0, 0, u.model, u.price, 'open'
      FROM unnest(p_call, codes, wallets, keys, amounts, p_model, p_price) AS u (call, code, wallet_id, key_id, amount, model, price) WHERE u.code = 0;
  IF rpm THEN
    UPDATE api_key k SET rpm_tat = greatest(k.rpm_tat, now()) + s.c * interval '60 s' / k.rpm_limit
      FROM (SELECT u.key_id, count(*) AS c FROM unnest(keys, codes) AS u (key_id, code) WHERE u.code = 0 GROUP BY 1) s WHERE k.id = s.key_id AND k.rpm_limit IS NOT NULL;
  END IF;
END $$;
