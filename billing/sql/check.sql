-- The auditor: every row it returns is a violation. One statement, so one snapshot: it may run while calls are being paid.
CREATE FUNCTION check_ledger(p_silence interval DEFAULT '120 s') RETURNS TABLE (rule text, what text, expected numeric, found numeric)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT 'C1 wallet negative', a.id::text, 0::numeric, (a.posted_nanos - a.held_nanos)::numeric FROM ledger_account a
   WHERE kind = 'wallet' AND (posted_nanos < 0 OR held_nanos < 0 OR posted_nanos - held_nanos < 0)
  UNION ALL
  SELECT 'C2 posted differs from the sum of transfers', a.id::text, coalesce(s.v, 0), a.posted_nanos FROM ledger_account a
    LEFT JOIN (SELECT id, sum(v) AS v FROM (SELECT credit_id AS id, amount_nanos AS v FROM transfer
                                            UNION ALL SELECT debit_id, -amount_nanos FROM transfer) x GROUP BY 1) s USING (id)
   WHERE a.kind IN ('wallet', 'receivable') AND a.posted_nanos <> coalesce(s.v, 0)
  UNION ALL
  SELECT 'C3 held differs from the sum of open holds', a.id::text, coalesce(s.v, 0), a.held_nanos FROM ledger_account a
    LEFT JOIN (SELECT wallet_id AS id, sum(amount_nanos) AS v FROM hold WHERE state = 'open' GROUP BY 1) s USING (id) WHERE a.held_nanos <> coalesce(s.v, 0)
  UNION ALL
  SELECT 'C4 capture differs from its transfer', coalesce(h.id::text, t.idempotency_key), h.captured_nanos, t.amount_nanos
    FROM (SELECT * FROM hold WHERE captured_nanos > 0) h
    FULL JOIN (SELECT * FROM transfer WHERE kind = 'capture') t ON t.hold_id = h.id AND t.debit_id = h.wallet_id
   WHERE h.captured_nanos IS DISTINCT FROM t.amount_nanos
  UNION ALL
  -- only once a sweeper has had its time: after an outage every process looks silent for a moment
  SELECT 'C5 open hold of a dead process', h.id::text, 0, h.amount_nanos FROM hold h LEFT JOIN process_boot b ON b.id = h.boot_id
   WHERE h.state = 'open' AND coalesce(b.ended_at, b.heartbeat_at, '2000-01-01') < now() - p_silence AND h.created_at < now() - p_silence
     AND EXISTS (SELECT FROM process_boot s WHERE s.name = 'sweeper' AND s.ended_at IS NULL AND s.started_at < now() - interval '150 s'
                                              AND s.heartbeat_at > now() - interval '60 s')
  UNION ALL
  SELECT 'C7 held of a key differs from the sum of open holds', k.id::text, coalesce(s.v, 0), k.held_nanos FROM api_key k
    LEFT JOIN (SELECT key_id AS id, sum(amount_nanos) AS v FROM hold WHERE state = 'open' GROUP BY 1) s USING (id) WHERE k.held_nanos <> coalesce(s.v, 0)
  UNION ALL
  SELECT 'C10 grant without its transfer, or transfer without its grant', coalesce(g.id::text, t.idempotency_key), g.amount_nanos, t.amount_nanos
    FROM credit_grant g FULL JOIN (SELECT * FROM transfer WHERE kind = 'promo') t ON t.idempotency_key = 'grant:' || g.id
   WHERE g.amount_nanos IS DISTINCT FROM t.amount_nanos $$;
