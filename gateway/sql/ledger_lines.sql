-- The movements of one wallet between two places, the newest (or oldest) so many, each with the balance after it. One statement,
-- hence one snapshot. Calls stand for their captures, which have no index by wallet; all else is in the transfers' partial indexes.
--
-- A place is (at, call, transfer). A call's has an empty transfer and a transfer's has the greatest uuid as its call, so that at one
-- moment transfers are newer than calls, and each kind can be compared by its own two columns.
--
-- The balance is what the wallet has now less what is newer: of each line only what lies up to the line before it is summed here.
-- Of calls that is whole hours from usage_hour (newer_hours) and, within the line's own hour, the records (newer_calls).
WITH wallet AS (SELECT id, posted_nanos FROM ledger_account WHERE customer_id = %(account)s AND kind = 'wallet'),
moved AS (
  (SELECT created_at, idempotency_key, kind, amount_nanos AS amount FROM transfer
    WHERE credit_id = (SELECT id FROM wallet) AND kind <> 'capture' AND kind = ANY (%(kinds)s)
      AND created_at BETWEEN %(after_at)s AND %(before_at)s AND (created_at, idempotency_key) > (%(after_at)s, %(after_transfer)s)
      AND (created_at, idempotency_key) < (%(before_at)s, %(before_transfer)s) ORDER BY created_at {order}, idempotency_key {order} LIMIT %(rows)s)
  UNION ALL
  (SELECT created_at, idempotency_key, kind, -amount_nanos FROM transfer
    WHERE debit_id = (SELECT id FROM wallet) AND kind <> 'capture' AND kind = ANY (%(kinds)s)
      AND created_at BETWEEN %(after_at)s AND %(before_at)s AND (created_at, idempotency_key) > (%(after_at)s, %(after_transfer)s)
      AND (created_at, idempotency_key) < (%(before_at)s, %(before_transfer)s) ORDER BY created_at {order}, idempotency_key {order} LIMIT %(rows)s)),
called AS (
  SELECT created_at, id, cost_nanos, model_id, key_id FROM call_record
   WHERE %(calls)s AND account_id = %(account)s AND cost_nanos > 0
     AND created_at BETWEEN %(after_at)s AND %(before_at)s AND (created_at, id) > (%(after_at)s, %(after_call)s)
     AND (created_at, id) < (%(before_at)s, %(before_call)s) ORDER BY created_at {order}, id {order} LIMIT %(rows)s),
line AS (
  SELECT created_at AS at, id AS call, '' COLLATE "C" AS transfer, 'capture' AS kind, -cost_nanos AS amount, model_id, key_id FROM called
  UNION ALL
  SELECT created_at, 'ffffffff-ffff-ffff-ffff-ffffffffffff', idempotency_key, kind, amount, NULL, NULL FROM moved
  ORDER BY at {order}, call {order}, transfer {order} LIMIT %(rows)s),
place AS MATERIALIZED (
  SELECT *, date_trunc('hour', at, 'UTC') AS hour,
         coalesce(lag(at) OVER w, 'infinity') AS newer_at, lag(call) OVER w AS newer_call, lag(transfer) OVER w AS newer_transfer
    FROM line WINDOW w AS (ORDER BY at DESC, call DESC, transfer DESC))
SELECT p.at, p.call, p.transfer, p.kind, p.amount, p.model_id, p.key_id,
       o.slug AS order_slug, o.receipt_number, o.card_last4, o.is_test, g.reason, g.granted_by,
       (SELECT posted_nanos FROM wallet) AS posted,
       (SELECT coalesce(sum(amount_nanos), 0) FROM transfer WHERE credit_id = (SELECT id FROM wallet) AND kind <> 'capture'
           AND created_at BETWEEN p.at AND p.newer_at AND (created_at, idempotency_key) > (p.at, p.transfer)
           AND (created_at, idempotency_key) <= (p.newer_at, coalesce(p.newer_transfer, ''))) AS newer_credits,
       (SELECT coalesce(sum(amount_nanos), 0) FROM transfer WHERE debit_id = (SELECT id FROM wallet) AND kind <> 'capture'
           AND created_at BETWEEN p.at AND p.newer_at AND (created_at, idempotency_key) > (p.at, p.transfer)
           AND (created_at, idempotency_key) <= (p.newer_at, coalesce(p.newer_transfer, ''))) AS newer_debits,
       (SELECT coalesce(sum(cost_nanos), 0) FROM usage_hour u WHERE u.account_id = %(account)s
           AND u.hour > p.hour AND u.hour <= p.newer_at) AS newer_hours,
       (SELECT coalesce(sum(cost_nanos), 0) FROM call_record c WHERE c.account_id = %(account)s
           AND c.created_at >= p.at AND c.created_at < p.hour + interval '1 hour' AND c.created_at <= p.newer_at AND (c.created_at, c.id) > (p.at, p.call)
           AND (c.created_at, c.id) <= (p.newer_at, coalesce(p.newer_call, p.call))) AS newer_calls
  FROM place p
  LEFT JOIN clawback b ON p.kind IN ('refund', 'refund_back', 'dispute', 'dispute_back') AND b.key = regexp_replace(p.transfer, ':back$', '')
  LEFT JOIN credit_lot l ON l.id = CASE WHEN p.kind = 'promo_expiry' THEN split_part(p.transfer, ':', 2)::bigint END
  LEFT JOIN top_up o ON o.id = CASE WHEN p.transfer ~ '^topup:[0-9a-f-]{{36}}$' THEN substr(p.transfer, 7)::uuid ELSE b.top_up_id END
  LEFT JOIN credit_grant g ON g.id = CASE WHEN coalesce(l.source, p.transfer) ~ '^grant:[0-9a-f-]{{36}}$' THEN substr(coalesce(l.source, p.transfer), 7)::uuid END
 ORDER BY p.at DESC, p.call DESC, p.transfer DESC
