-- The other round trip: capture (or release), the call's record and the hourly sums, in one statement.
-- Cost 0 with a status >= 400 releases; all else captures min(cost, held). The rest of a dearer call is the house's (overrun).
-- codes: 0 settled · 1 closed before (a retry, or the sweeper was first) · 2 no such hold of that wallet; NULL = all 0
-- p_flags: 1 streamed · 2 sandbox · 4 estimated · from 8 on the endpoint (gateway.models.Endpoint)
-- p_model, p_price: what answered, where that is not what the hold was taken for (0: it is)
CREATE OR REPLACE FUNCTION settle(p_call uuid[], p_wallet bigint[], p_cost bigint[], p_status int[], p_outcome int[], p_input int[], p_cached int[], p_cache_write int[],
                       p_output int[], p_reasoning int[], p_ms int[], p_first_ms int[], p_flags int[], p_detail text[],
                       p_model int[] DEFAULT NULL, p_price int[] DEFAULT NULL, p_app text[] DEFAULT NULL, OUT codes int[]) LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE done uuid[]; over uuid[]; excess bigint[];
BEGIN
  PERFORM 1 FROM ledger_account a WHERE a.id = ANY (p_wallet) ORDER BY a.id FOR NO KEY UPDATE;
  -- no least(r.cost, h.amount): LEAST ignores NULL, a NULL cost (or arrays of unequal length) would capture the whole hold. This gives NULL, and the CHECK refuses
  WITH h AS (
    UPDATE hold h SET state = CASE WHEN r.cost = 0 AND r.status >= 400 THEN 'released' ELSE 'captured' END,
           captured_nanos = CASE WHEN r.cost = 0 AND r.status >= 400 THEN NULL WHEN r.cost <= h.amount_nanos THEN r.cost WHEN r.cost > h.amount_nanos THEN h.amount_nanos END,
           closed_at = now()
      FROM unnest(p_call, p_wallet, p_cost, p_status, p_outcome, p_input, p_cached, p_cache_write, p_output, p_reasoning, p_ms, p_first_ms, p_flags, p_detail,
                  p_model, p_price, p_app)
           AS r (id, wallet_id, cost, status, outcome, input, cached, cache_write, output, reasoning, ms, first_ms, flags, detail, model, price, app)
     WHERE h.id = ANY (ARRAY[r.id]) AND h.wallet_id = r.wallet_id AND h.state = 'open'
    RETURNING h.id, (SELECT a.customer_id FROM ledger_account a WHERE a.id = h.wallet_id) AS account_id, h.key_id,
              coalesce(nullif(r.model, 0), h.served_model_id, h.model_id) AS model_id, coalesce(nullif(r.price, 0), h.served_price_id, h.price_id) AS price_id, h.amount_nanos,
              r.flags >> 3 AS endpoint, coalesce(r.app, '') AS app,
              r.status, r.outcome, r.input, r.cached, r.cache_write, r.output, r.reasoning, r.ms, r.first_ms, r.flags, r.detail,
              coalesce(h.captured_nanos, 0) AS cost, r.cost - h.amount_nanos AS more),
  c AS (INSERT INTO call_record (id, account_id, key_id, model_id, price_id, endpoint, app, status, outcome, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
                                 reasoning_tokens, duration_ms, first_byte_ms, streamed, sandbox, estimated, held_nanos, cost_nanos, detail, created_at)
        SELECT id, account_id, key_id, model_id, price_id, endpoint, app, status, outcome, input, cached, cache_write, output, reasoning, ms, first_ms,
               flags & 1 <> 0, flags & 2 <> 0, flags & 4 <> 0, amount_nanos, cost, detail::jsonb, now() FROM h),
  u AS (INSERT INTO usage_hour AS w (account_id, key_id, model_id, endpoint, app, hour, calls, errors, input_tokens, cached_input_tokens, output_tokens,
                                    reasoning_tokens, duration_ms, first_byte_calls, first_byte_ms, cost_nanos)
        SELECT account_id, key_id, model_id, endpoint, app, date_trunc('hour', now(), 'UTC'), count(*), count(*) FILTER (WHERE status >= 400), sum(input), sum(cached), sum(output),
               sum(reasoning), sum(ms), count(*) FILTER (WHERE first_ms >= 0), sum(greatest(first_ms, 0)), sum(cost)
          FROM h GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT (account_id, hour, key_id, model_id, endpoint, app) DO UPDATE SET calls = w.calls + excluded.calls, errors = w.errors + excluded.errors,
          input_tokens = w.input_tokens + excluded.input_tokens, cached_input_tokens = w.cached_input_tokens + excluded.cached_input_tokens,
          output_tokens = w.output_tokens + excluded.output_tokens, reasoning_tokens = w.reasoning_tokens + excluded.reasoning_tokens,
          duration_ms = w.duration_ms + excluded.duration_ms, first_byte_calls = w.first_byte_calls + excluded.first_byte_calls,
          first_byte_ms = w.first_byte_ms + excluded.first_byte_ms, cost_nanos = w.cost_nanos + excluded.cost_nanos)
  SELECT array_agg(h.id), array_agg(h.id) FILTER (WHERE h.more > 0), array_agg(h.more) FILTER (WHERE h.more > 0) INTO done, over, excess FROM h;
  IF over IS NOT NULL THEN
    INSERT INTO transfer (idempotency_key, debit_id, credit_id, amount_nanos, kind)
      SELECT 'overrun:' || u.id, (SELECT id FROM ledger_account WHERE kind = 'overrun' AND customer_id IS NULL),
             (SELECT id FROM ledger_account WHERE kind = 'revenue' AND customer_id IS NULL), u.more, 'overrun'
        FROM unnest(over, excess) AS u (id, more);
  END IF;
  IF coalesce(cardinality(done), 0) < cardinality(p_call) THEN
    SELECT array_agg(CASE WHEN r.id = ANY (done) THEN 0 WHEN h.id IS NOT NULL THEN 1 ELSE 2 END ORDER BY r.n) INTO codes
      FROM unnest(p_call, p_wallet) WITH ORDINALITY AS r (id, wallet_id, n) LEFT JOIN hold h ON h.id = ANY (ARRAY[r.id]) AND h.wallet_id = r.wallet_id;
  END IF;
END $$;
