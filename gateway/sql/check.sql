-- check_ledger()'s twin for what settle() writes beside the capture.
CREATE OR REPLACE FUNCTION check_calls() RETURNS TABLE (rule text, what text, expected numeric, found numeric) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT 'C6 call record differs from its hold', coalesce(h.id, c.id)::text, coalesce(h.captured_nanos, 0)::numeric, c.cost_nanos::numeric
    FROM (SELECT * FROM hold WHERE state <> 'open') h FULL JOIN call_record c ON c.id = h.id
   WHERE h.id IS NULL OR c.id IS NULL OR coalesce(h.captured_nanos, 0) <> c.cost_nanos
  UNION ALL
  SELECT 'C8 hourly sums differ from the call records', coalesce(a.account_id, b.account_id)::text, a.v, b.v
    FROM (SELECT account_id, sum(cost_nanos) AS v, count(*) AS c FROM call_record GROUP BY 1) a
    FULL JOIN (SELECT account_id, sum(cost_nanos) AS v, sum(calls) AS c FROM usage_hour GROUP BY 1) b USING (account_id) WHERE (a.v, a.c) IS DISTINCT FROM (b.v, b.c) $$;
