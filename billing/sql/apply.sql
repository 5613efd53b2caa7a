-- Triggers apply balances: then "posted = sum of transfers" and "held = sum of open holds" cannot depend on who wrote the row.
-- Closing a hold writes its capture: then a capture without its hold, or a captured hold without its transfer, cannot be said.
--
-- Statement triggers with transition tables: one UPDATE per wallet and batch. Joins between two transition tables are avoided on
-- purpose (UNION ALL + GROUP BY instead): a trigger's plan is cached from the first batch it saw, and a nested loop chosen for one
-- row is quadratic at 512. x = ANY (ARRAY[y]) can be an index probe but never a reason to walk a whole index in order.

-- UTC given: date_trunc on timestamptz otherwise depends on the session's TimeZone. One expression, so the planner inlines it.
CREATE OR REPLACE FUNCTION key_window(w text) RETURNS timestamptz LANGUAGE sql STABLE
  RETURN CASE w WHEN 'total' THEN timestamptz '2000-01-01 00:00+00' ELSE date_trunc(w, now(), 'UTC') END;

CREATE OR REPLACE FUNCTION hold_insert_apply() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE wallets_fit boolean; keys_fit boolean;
BEGIN
  -- one statement: most of a small batch's cost is the number of statements it runs
  WITH s AS MATERIALIZED (SELECT key_id, wallet_id, sum(amount_nanos)::bigint AS amount FROM n GROUP BY 1, 2),
  w AS MATERIALIZED (SELECT wallet_id, sum(amount)::bigint AS amount FROM s GROUP BY 1),
  a AS (UPDATE ledger_account a SET held_nanos = a.held_nanos + w.amount FROM w
         WHERE a.id = ANY (ARRAY[w.wallet_id]) AND a.kind = 'wallet' RETURNING a.id),
  k AS (UPDATE api_key k SET held_nanos = k.held_nanos + s.amount, last_used_at = now() FROM s, ledger_account la
         WHERE k.id = ANY (ARRAY[s.key_id]) AND la.id = ANY (ARRAY[s.wallet_id]) AND la.customer_id = k.account_id RETURNING k.id)
  SELECT (SELECT count(*) FROM a) = (SELECT count(*) FROM w), (SELECT count(*) FROM k) = (SELECT count(*) FROM s) INTO wallets_fit, keys_fit;
  IF NOT wallets_fit THEN RAISE EXCEPTION 'ledger: hold on something that is no wallet' USING ERRCODE = '23503'; END IF;
  IF NOT keys_fit THEN RAISE EXCEPTION 'ledger: hold with a key of another account' USING ERRCODE = '23503'; END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER apply_insert AFTER INSERT ON hold REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION hold_insert_apply();

-- (A trigger with transition tables may have neither a column list nor several events; so this one also sees checkpoints, and
--  must then touch no wallet: HAVING. A checkpoint takes no wallet lock, an update here would break the lock order.)
CREATE OR REPLACE FUNCTION hold_update_apply() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO transfer (idempotency_key, debit_id, credit_id, amount_nanos, kind, hold_id)
    SELECT 'capture:' || n.id, n.wallet_id, (SELECT id FROM ledger_account WHERE kind = 'revenue' AND customer_id IS NULL),
           n.captured_nanos, 'capture', n.id
      FROM n WHERE n.captured_nanos > 0;
  WITH d AS MATERIALIZED (
    SELECT wallet_id, key_id, sum(h)::bigint AS h, sum(c)::bigint AS c FROM (
      SELECT wallet_id, key_id, CASE WHEN state = 'open' THEN amount_nanos ELSE 0 END AS h, coalesce(captured_nanos, 0) AS c FROM n
      UNION ALL SELECT wallet_id, key_id, -amount_nanos, 0 FROM o) x
    GROUP BY 1, 2 HAVING sum(h) <> 0 OR sum(c) <> 0),
  k AS (
    UPDATE api_key k SET held_nanos = k.held_nanos + d.h, window_start = key_window(k.limit_window),
           spent_nanos = CASE WHEN k.window_start < key_window(k.limit_window) THEN 0 ELSE k.spent_nanos END + d.c
      FROM d WHERE k.id = ANY (ARRAY[d.key_id]))
  UPDATE ledger_account a SET held_nanos = a.held_nanos + s.h, posted_nanos = a.posted_nanos - s.c
    FROM (SELECT wallet_id, sum(h)::bigint AS h, sum(c)::bigint AS c FROM d GROUP BY 1) s WHERE a.id = ANY (ARRAY[s.wallet_id]);
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER apply_update AFTER UPDATE ON hold REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION hold_update_apply();

CREATE OR REPLACE FUNCTION transfer_insert_apply() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM n WHERE kind <> 'capture') THEN RETURN NULL; END IF;   -- captures were applied with their hold
  IF EXISTS (SELECT FROM n LEFT JOIN ledger_account d ON d.id = n.debit_id LEFT JOIN ledger_account c ON c.id = n.credit_id
              LEFT JOIN transfer_rule r ON r.kind = n.kind AND r.debit_kind = d.kind AND r.credit_kind = c.kind
              WHERE r.kind IS NULL OR (d.customer_id <> c.customer_id)) THEN
    RAISE EXCEPTION 'ledger: no rule allows this transfer' USING ERRCODE = '23503';
  END IF;
  UPDATE ledger_account a SET posted_nanos = a.posted_nanos + s.net
    FROM (SELECT id, sum(v)::bigint AS net FROM (
            SELECT credit_id AS id, amount_nanos AS v FROM n WHERE kind <> 'capture'
            UNION ALL SELECT debit_id, -amount_nanos FROM n WHERE kind <> 'capture') x GROUP BY 1) s
   WHERE a.id = ANY (ARRAY[s.id]) AND a.kind IN ('wallet', 'receivable');
  -- every credit of a wallet has its lot; the others are opened with the row that says why
  INSERT INTO credit_lot (customer_id, kind, source, amount_nanos)
    SELECT a.customer_id, 'promo', n.idempotency_key, n.amount_nanos FROM n JOIN ledger_account a ON a.id = n.credit_id AND a.kind = 'wallet' WHERE n.kind = 'adjustment';
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER apply_insert AFTER INSERT ON transfer REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION transfer_insert_apply();
