-- SECURITY DEFINER with pg_temp LAST in search_path: otherwise the caller's temporary table "hold" would be ours.
-- force_generic_plan: planning these statements costs more than running them. But a generic plan made while a table was empty lives
-- until the next ANALYZE and is quadratic till then. So the plan is left no choice: sequential scans, hash and merge joins off.
-- Lock order everywhere: ledger_account by id, then api_key / hold / usage_hour rows, which belong to a locked account.

-- One transfer. True = posted now, false = this key was posted before with the same content. Not granted to the application:
-- money enters only through functions that also write down why (grant_credit).
CREATE OR REPLACE FUNCTION post_transfer(p_key text, p_kind text, p_debit bigint, p_credit bigint, p_amount bigint) RETURNS boolean LANGUAGE plpgsql
  SET search_path = public, pg_temp AS $$
DECLARE k int; t transfer;
BEGIN
  IF p_kind IN ('capture', 'overrun') THEN RAISE EXCEPTION 'ledger: % is written by settle only', p_kind USING ERRCODE = '42501'; END IF;
  PERFORM 1 FROM ledger_account a WHERE a.id IN (p_debit, p_credit) AND a.kind IN ('wallet', 'receivable') ORDER BY a.id FOR NO KEY UPDATE;
  INSERT INTO transfer (idempotency_key, kind, debit_id, credit_id, amount_nanos) VALUES (p_key, p_kind, p_debit, p_credit, p_amount)
    ON CONFLICT (idempotency_key) DO NOTHING;
  GET DIAGNOSTICS k = ROW_COUNT;
  IF k = 1 THEN RETURN true; END IF;
  SELECT * INTO t FROM transfer WHERE idempotency_key = p_key;
  IF (t.kind, t.debit_id, t.credit_id, t.amount_nanos) IS DISTINCT FROM (p_kind, p_debit, p_credit, p_amount) THEN
    RAISE EXCEPTION 'ledger: key % was used for another transfer', p_key USING ERRCODE = '23505';
  END IF;
  RETURN false;
END $$;

-- Promotional credit: the reason and the money are one statement.
CREATE OR REPLACE FUNCTION grant_credit(p_id uuid, p_customer bigint, p_amount bigint, p_reason text, p_by text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp AS $$
DECLARE wallet bigint; house bigint; posted boolean;
BEGIN
  SELECT id INTO wallet FROM ledger_account WHERE customer_id = p_customer AND kind = 'wallet';
  IF wallet IS NULL THEN RAISE EXCEPTION 'ledger: customer % has no wallet', p_customer USING ERRCODE = '23503'; END IF;
  SELECT id INTO house FROM ledger_account WHERE kind = 'promo' AND customer_id IS NULL;
  posted := post_transfer('grant:' || p_id, 'promo', house, wallet, p_amount);
  IF posted THEN
    INSERT INTO credit_grant (id, customer_id, amount_nanos, reason, granted_by) VALUES (p_id, p_customer, p_amount, p_reason, p_by);
  END IF;
  RETURN posted;
END $$;

-- Incremental authorisation. Takes the new TOTAL, not a delta: a retry after an unknown outcome is then harmless.
-- codes: 0 grown (or already that large) · 1 closed · 2 no such hold · 7 key_limit · 8 insufficient_credits
CREATE OR REPLACE FUNCTION extend_holds(p_call uuid[], p_wallet bigint[], p_total bigint[], OUT codes int[]) LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE r record; a_left jsonb := '{}'; k_left jsonb := '{}'; av bigint; kv bigint;
BEGIN
  PERFORM 1 FROM ledger_account a WHERE a.id = ANY (p_wallet) ORDER BY a.id FOR NO KEY UPDATE;
  codes := array_fill(0, ARRAY[cardinality(p_call)]);
  FOR r IN SELECT u.n, u.total - h.amount_nanos AS more, h.id, h.state, a.id AS aid, k.id AS kid, a.posted_nanos - a.held_nanos AS free,
                  k.limit_nanos - k.held_nanos - CASE WHEN k.window_start < key_window(k.limit_window) THEN 0 ELSE k.spent_nanos END AS key_free
             FROM unnest(p_call, p_wallet, p_total) WITH ORDINALITY AS u (call, wallet_id, total, n)
             LEFT JOIN hold h ON h.id = ANY (ARRAY[u.call]) AND h.wallet_id = u.wallet_id
             LEFT JOIN ledger_account a ON a.id = ANY (ARRAY[h.wallet_id]) LEFT JOIN api_key k ON k.id = ANY (ARRAY[h.key_id]) ORDER BY u.n LOOP
    IF r.id IS NULL THEN codes[r.n] := 2; CONTINUE; ELSIF r.state <> 'open' THEN codes[r.n] := 1; CONTINUE; ELSIF r.more <= 0 THEN CONTINUE; END IF;
    av := coalesce((a_left ->> r.aid::text)::bigint, r.free); kv := coalesce((k_left ->> r.kid::text)::bigint, r.key_free);
    IF kv < r.more THEN codes[r.n] := 7; CONTINUE; ELSIF av < r.more THEN codes[r.n] := 8; CONTINUE; END IF;
    a_left := a_left || jsonb_build_object(r.aid, av - r.more);
    IF kv IS NOT NULL THEN k_left := k_left || jsonb_build_object(r.kid, kv - r.more); END IF;
  END LOOP;
  -- the largest of several totals for one call, or the statement would take any of them
  UPDATE hold h SET amount_nanos = u.total
    FROM (SELECT t.call, t.wallet_id, max(t.total) AS total FROM unnest(p_call, p_wallet, p_total, codes) AS t (call, wallet_id, total, code) WHERE t.code = 0 GROUP BY 1, 2) u
   WHERE h.id = ANY (ARRAY[u.call]) AND h.wallet_id = u.wallet_id AND h.state = 'open' AND h.amount_nanos < u.total;
END $$;

-- What an open stream has cost so far: captured by the sweeper if its process dies.
-- p_model, p_price: what answers, where that is not what the hold was taken for (0: it is).
-- Takes no wallet lock and never waits (SKIP LOCKED): a checkpoint that loses against a settle is not needed any more.
CREATE OR REPLACE FUNCTION checkpoint_holds(p_call uuid[], p_nanos bigint[], p_input int[], p_output int[],
                                            p_model int[] DEFAULT NULL, p_price int[] DEFAULT NULL) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE k int;
BEGIN
  WITH l AS MATERIALIZED (SELECT id FROM hold WHERE id = ANY (p_call) AND state = 'open' ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
  UPDATE hold h SET checkpoint_nanos = least(u.nanos, h.amount_nanos), checkpoint_input_tokens = u.input, checkpoint_output_tokens = u.output,
                    served_model_id = nullif(u.model, 0), served_price_id = nullif(u.price, 0)
    FROM l, (SELECT call, max(nanos) AS nanos, max(input) AS input, max(output) AS output, max(model) AS model, max(price) AS price
               FROM unnest(p_call, p_nanos, p_input, p_output, p_model, p_price) AS t (call, nanos, input, output, model, price) GROUP BY 1) u
   WHERE h.id = ANY (ARRAY[l.id]) AND u.call = l.id AND h.state = 'open' AND h.checkpoint_nanos < least(u.nanos, h.amount_nanos);
  GET DIAGNOSTICS k = ROW_COUNT;
  RETURN k;
END $$;

CREATE OR REPLACE FUNCTION start_boot(p_boot uuid, p_name text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  INSERT INTO process_boot (id, name) VALUES (p_boot, p_name) $$;
-- false: this boot was declared dead (fencing): its process must take a new boot id before it may hold again
CREATE OR REPLACE FUNCTION heartbeat(p_boot uuid) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH u AS (UPDATE process_boot SET heartbeat_at = clock_timestamp() WHERE id = p_boot AND ended_at IS NULL RETURNING 1) SELECT EXISTS (SELECT FROM u) $$;
CREATE OR REPLACE FUNCTION end_boot(p_boot uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  UPDATE process_boot SET ended_at = clock_timestamp() WHERE id = p_boot AND ended_at IS NULL $$;
