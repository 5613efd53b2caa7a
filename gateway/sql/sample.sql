-- Believable calls for an empty development database: gateway/sample_calls.py runs these statements with the owner's role, in
-- one transaction. Holds are opened and closed as by any call, so that the triggers write captures and balances; only the
-- records and their hourly sums are inserted here, because settle() dates them now.

-- name: make
-- hours: how many calls begin in which hour. mixes: which key asks which model, and at which rates (nano-USD per million
-- tokens). A luck near 1 is a call that went wrong. Costs are those of billing.pricing.cost().
CREATE TEMP TABLE sample_call ON COMMIT DROP AS
WITH hours AS (SELECT * FROM unnest(%(hours)s::timestamptz[], %(counts)s::int[], %(minutes)s::int[]) AS h (hour, calls, minutes)),
mixes AS (SELECT * FROM unnest(%(key_ids)s::bigint[], %(apps)s::text[], %(endpoints)s::int[], %(model_ids)s::int[], %(price_ids)s::int[], %(upstreams)s::text[], %(slugs)s::text[],
                               %(input_rates)s::bigint[], %(cached_rates)s::bigint[], %(output_rates)s::bigint[])
            WITH ORDINALITY AS m (key_id, app, endpoint, model_id, price_id, upstream, slug, input_rate, cached_rate, output_rate, n)),
dice AS MATERIALIZED (
  SELECT h.hour + random() * h.minutes * interval '1 minute' AS created_at, width_bucket(random(), %(shares)s::float8[]) AS mix, random() AS luck, random() AS cached,
         200 + (12000 * random() ^ 3)::int AS input, 20 + (1500 * random() ^ 2)::int AS output, 150 + (900 * random() ^ 3)::int AS first_ms, 40 + (90 * random())::int AS speed
    FROM hours h, generate_series(1, h.calls)),
calls AS MATERIALIZED (
  SELECT d.created_at, m.*, d.luck,
         CASE WHEN luck < 0.955 THEN 200 WHEN luck < 0.98 THEN 499 WHEN luck < 0.99 THEN 502 WHEN luck < 0.996 THEN 503 ELSE 504 END AS status,
         CASE WHEN luck < 0.955 THEN 1 WHEN luck < 0.98 THEN 2 WHEN luck < 0.996 THEN 4 ELSE 5 END AS outcome,
         CASE WHEN luck < 0.98 THEN d.input ELSE 0 END AS input,
         CASE WHEN luck < 0.98 AND d.cached > 0.5 THEN (d.input * (d.cached - 0.25))::int ELSE 0 END AS cached,
         CASE WHEN luck < 0.955 THEN d.output WHEN luck < 0.98 THEN d.output / 3 ELSE 0 END AS output,
         CASE WHEN luck < 0.98 THEN d.first_ms ELSE -1 END AS first_ms, d.speed
    FROM dice d JOIN mixes m ON m.n = d.mix)
SELECT row_number() OVER () AS n,
       (lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0') || '7' || overlay(substr(md5(gen_random_uuid()::text), 1, 18) PLACING '8' FROM 4) || '0')::uuid AS id,
       created_at, key_id, app, endpoint, model_id, price_id, status, outcome, input, cached, output, output / 8 AS reasoning, first_ms,
       CASE WHEN first_ms < 0 THEN 400 ELSE first_ms + output * 1000 / speed END AS ms,
       ((input - cached)::bigint * input_rate + cached::bigint * cached_rate + output::bigint * output_rate + 999999) / 1000000 AS cost,
       CASE WHEN luck BETWEEN 0.90 AND 0.92 THEN jsonb_build_object('upstream', upstream, 'attempts', jsonb_build_array(
              jsonb_build_object('upstream', upstream, 'model', slug, 'status', 503, 'ms', 40 + first_ms / 10, 'error', 'upstream_error')))
            WHEN luck < 0.05 THEN jsonb_build_object('max_tokens_chosen', 32768)
            WHEN luck < 0.06 THEN jsonb_build_object('adjusted', jsonb_build_array('temperature')) END AS detail
  FROM calls;

-- name: index
CREATE INDEX ON sample_call (n);

-- name: sum
SELECT sum(calls)::bigint, sum(cost)::bigint, max(held)::bigint
  FROM (SELECT count(*) AS calls, sum(cost) AS cost, sum(2 * cost + 1000) AS held FROM sample_call GROUP BY (n - 1) / %(at_once)s) part;

-- name: open
INSERT INTO hold (id, wallet_id, key_id, boot_id, amount_nanos, checkpoint_nanos, checkpoint_input_tokens, checkpoint_output_tokens, model_id, price_id, state, created_at)
SELECT id, %(wallet)s, key_id, %(boot)s, 2 * cost + 1000, 0, 0, 0, model_id, price_id, 'open', created_at - ms * interval '1 ms' FROM sample_call WHERE n BETWEEN %(first)s AND %(last)s;

-- name: close
UPDATE hold h SET state = CASE WHEN s.cost = 0 AND s.status >= 400 THEN 'released' ELSE 'captured' END,
       captured_nanos = CASE WHEN s.cost = 0 AND s.status >= 400 THEN NULL ELSE s.cost END, closed_at = s.created_at
  FROM sample_call s WHERE h.id = s.id AND s.n BETWEEN %(first)s AND %(last)s;

-- name: record
INSERT INTO call_record (id, account_id, key_id, model_id, price_id, endpoint, app, status, outcome, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
                         reasoning_tokens, duration_ms, first_byte_ms, streamed, sandbox, estimated, held_nanos, cost_nanos, detail, created_at)
SELECT id, %(account)s, key_id, model_id, price_id, endpoint, app, status, outcome, input, cached, 0, output, reasoning, ms, first_ms, true, true, status = 499,
       2 * cost + 1000, cost, detail, created_at FROM sample_call ORDER BY created_at;

-- name: add_up
INSERT INTO usage_hour AS w (account_id, key_id, model_id, endpoint, app, hour, calls, errors, input_tokens, cached_input_tokens, output_tokens,
                             reasoning_tokens, duration_ms, first_byte_calls, first_byte_ms, cost_nanos)
SELECT %(account)s, key_id, model_id, endpoint, app, date_trunc('hour', created_at, 'UTC'), count(*), count(*) FILTER (WHERE status >= 400), sum(input), sum(cached), sum(output),
       sum(reasoning), sum(ms), count(*) FILTER (WHERE first_ms >= 0), sum(greatest(first_ms, 0)), sum(cost)
  FROM sample_call GROUP BY 2, 3, 4, 5, 6 ORDER BY 6, 2, 3, 4, 5
ON CONFLICT (account_id, hour, key_id, model_id, endpoint, app) DO UPDATE SET calls = w.calls + excluded.calls, errors = w.errors + excluded.errors,
  input_tokens = w.input_tokens + excluded.input_tokens, cached_input_tokens = w.cached_input_tokens + excluded.cached_input_tokens,
  output_tokens = w.output_tokens + excluded.output_tokens, reasoning_tokens = w.reasoning_tokens + excluded.reasoning_tokens,
  duration_ms = w.duration_ms + excluded.duration_ms, first_byte_calls = w.first_byte_calls + excluded.first_byte_calls,
  first_byte_ms = w.first_byte_ms + excluded.first_byte_ms, cost_nanos = w.cost_nanos + excluded.cost_nanos;
