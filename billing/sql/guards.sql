-- The database refuses every forbidden state. Three layers, each enough on its own against the fault it is there for:
--   1. grants (guards.py): the application's role has SELECT and EXECUTE, it cannot name a forbidden statement;
--   2. CHECKs, unique indexes and the triggers below: a bug in our own functions, or a hasty owner, is refused too;
--   3. check_ledger(): finds what 1 and 2 would have let through (a disabled trigger, a bad restore).
--
-- Row guards are AFTER ROW triggers with a WHEN: a compiled expression, evaluated in the executor; nothing is queued and no
-- plpgsql runs unless it is true, and then only to raise. (BEFORE ROW would lock and re-fetch each tuple first.)

ALTER TABLE ledger_account SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);  -- every balance change is a HOT update
ALTER TABLE process_boot SET (fillfactor = 50);
ALTER TABLE hold SET (fillfactor = 60);
ALTER TABLE api_key SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- IS NOT NULL in each arm: a CHECK that evaluates to NULL passes
ALTER TABLE hold ADD CONSTRAINT hold_state CHECK (CASE state
  WHEN 'open'     THEN captured_nanos IS NULL AND closed_at IS NULL
  WHEN 'captured' THEN captured_nanos IS NOT NULL AND captured_nanos BETWEEN 0 AND amount_nanos AND closed_at IS NOT NULL
  WHEN 'released' THEN captured_nanos IS NULL AND closed_at IS NOT NULL
  ELSE false END);
ALTER TABLE api_key ADD CONSTRAINT key_hash_is_sha256 CHECK (length(hash) = 32);
-- a capture's key is derived from its hold, so the primary key is also "one capture per hold": no second unique index
ALTER TABLE transfer ADD CONSTRAINT capture_key CHECK (CASE WHEN kind = 'capture'
  THEN hold_id IS NOT NULL AND idempotency_key = 'capture:' || hold_id ELSE hold_id IS NULL END);

INSERT INTO ledger_account (kind, frozen, posted_nanos, held_nanos)
  SELECT kind, false, 0, 0 FROM unnest(ARRAY['stripe_clearing', 'promo', 'revenue', 'overrun', 'dispute', 'adjustment']) AS t (kind);

INSERT INTO transfer_rule (kind, debit_kind, credit_kind) VALUES
  ('topup', 'stripe_clearing', 'wallet'), ('refund', 'wallet', 'stripe_clearing'), ('refund_back', 'stripe_clearing', 'wallet'),
  ('promo', 'promo', 'wallet'), ('promo_expiry', 'wallet', 'promo'), ('capture', 'wallet', 'revenue'), ('overrun', 'overrun', 'revenue'),
  ('dispute', 'wallet', 'dispute'), ('dispute', 'receivable', 'dispute'), ('dispute_back', 'dispute', 'wallet'),
  ('receivable_paid', 'wallet', 'receivable'), ('adjustment', 'adjustment', 'wallet'), ('adjustment', 'wallet', 'adjustment');

CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'ledger: % on % refused (%)', TG_OP, TG_TABLE_NAME, TG_NAME USING ERRCODE = '23514'; END $$;

DO $$ DECLARE t text; BEGIN  -- BEFORE STATEMENT: refused even when no row matches. TRUNCATE fires no DELETE trigger, it needs its own
  FOREACH t IN ARRAY ARRAY['transfer', 'hold', 'ledger_account', 'credit_grant', 'price', 'audit_event'] LOOP
    EXECUTE format('CREATE TRIGGER no_delete BEFORE DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()', t);
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['transfer', 'credit_grant', 'price', 'audit_event'] LOOP
    EXECUTE format('CREATE TRIGGER no_update BEFORE UPDATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()', t);
  END LOOP;
END $$;

-- pg_trigger_depth() in a WHEN is the depth of the statement, before this trigger: 0 = somebody's own statement, 1 = ours
CREATE TRIGGER born_empty AFTER INSERT ON ledger_account FOR EACH ROW
  WHEN (NEW.posted_nanos <> 0 OR NEW.held_nanos <> 0) EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER moved_by_triggers_only AFTER UPDATE ON ledger_account FOR EACH ROW
  WHEN (pg_trigger_depth() = 0 AND (NEW.posted_nanos <> OLD.posted_nanos OR NEW.held_nanos <> OLD.held_nanos OR NEW.kind <> OLD.kind
        OR NEW.id <> OLD.id OR NEW.customer_id IS DISTINCT FROM OLD.customer_id)) EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER born_unspent AFTER INSERT ON api_key FOR EACH ROW
  WHEN (NEW.spent_nanos <> 0 OR NEW.held_nanos <> 0) EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER counted_by_triggers_only AFTER UPDATE ON api_key FOR EACH ROW
  WHEN (pg_trigger_depth() = 0 AND (NEW.spent_nanos <> OLD.spent_nanos OR NEW.held_nanos <> OLD.held_nanos OR NEW.hash <> OLD.hash
        OR NEW.account_id <> OLD.account_id)) EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER capture_only_by_closing_a_hold AFTER INSERT ON transfer FOR EACH ROW
  WHEN (pg_trigger_depth() = 0 AND NEW.kind = 'capture') EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER born_open AFTER INSERT ON hold FOR EACH ROW
  WHEN (NEW.state <> 'open' OR NEW.checkpoint_nanos <> 0) EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER only_forward AFTER UPDATE ON hold FOR EACH ROW
  WHEN (OLD.state <> 'open' OR NEW.amount_nanos < OLD.amount_nanos OR (NEW.state <> 'open' AND NEW.amount_nanos <> OLD.amount_nanos)
     OR NEW.checkpoint_nanos < OLD.checkpoint_nanos OR NEW.id <> OLD.id OR NEW.wallet_id <> OLD.wallet_id OR NEW.key_id <> OLD.key_id
     OR NEW.boot_id <> OLD.boot_id OR NEW.created_at <> OLD.created_at OR NEW.price_id <> OLD.price_id OR NEW.model_id <> OLD.model_id)
  EXECUTE FUNCTION ledger_refuse();

-- Every account has a wallet from its first moment, whoever inserted it.
CREATE FUNCTION open_wallet() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO ledger_account (customer_id, kind, frozen, posted_nanos, held_nanos) SELECT n.id, 'wallet', false, 0, 0 FROM n;
  RETURN NULL;
END $$;
CREATE TRIGGER open_wallet AFTER INSERT ON account REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION open_wallet();
