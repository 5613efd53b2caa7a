-- Money in and out: the only functions that post top-ups, refunds, disputes, expiries and debts. Each needs a row that says why,
-- each may be called again at any time. Lock order as everywhere: ledger_account by id, then the rows that belong to it.
--
-- Lots are attribution, not balance. Spending is attributed late: what all lots have left, less what the wallet has, was used by
-- calls since, and the oldest lots pay for it. So calls touch no lot, and "left of all lots = posted" holds after each attribution.

CREATE SEQUENCE receipt_number START 1001;

INSERT INTO transfer_rule (kind, debit_kind, credit_kind) VALUES
  ('refund', 'receivable', 'stripe_clearing'), ('refund_back', 'stripe_clearing', 'receivable'), ('dispute_back', 'dispute', 'receivable');
-- a debt is negative; nobody is ever owed through it
ALTER TABLE ledger_account ADD CONSTRAINT receivable_is_a_debt CHECK (kind <> 'receivable' OR (posted_nanos <= 0 AND held_nanos = 0));

DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['top_up', 'clawback', 'credit_lot', 'stripe_event', 'refund', 'dispute', 'promo_redemption'] LOOP
    EXECUTE format('CREATE TRIGGER no_delete BEFORE DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()', t);
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()', t);
  END LOOP;
END $$;

CREATE TRIGGER born_uncredited AFTER INSERT ON top_up FOR EACH ROW
  WHEN (NEW.credited_at IS NOT NULL OR NEW.receipt_number IS NOT NULL OR NEW.clawed_nanos <> 0) EXECUTE FUNCTION ledger_refuse();
-- what was ordered stays what was ordered, and a credit is final
CREATE TRIGGER order_is_fixed AFTER UPDATE ON top_up FOR EACH ROW
  WHEN (NEW.id <> OLD.id OR NEW.account_id <> OLD.account_id OR NEW.credit_nanos <> OLD.credit_nanos OR NEW.fee_nanos <> OLD.fee_nanos
     OR NEW.is_test <> OLD.is_test OR NEW.request_key <> OLD.request_key
     OR (OLD.credited_at IS NOT NULL AND (NEW.credited_at IS DISTINCT FROM OLD.credited_at OR NEW.receipt_number IS DISTINCT FROM OLD.receipt_number
         OR NEW.total_cents IS DISTINCT FROM OLD.total_cents)))
  EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER born_unredeemed AFTER INSERT ON promo_code FOR EACH ROW WHEN (NEW.redemption_count <> 0) EXECUTE FUNCTION ledger_refuse();

-- every grant is a lot; those of before are taken over, and what was spent meanwhile is attributed when somebody asks
CREATE FUNCTION open_grant_lot() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO credit_lot (customer_id, kind, source, amount_nanos, created_at) VALUES (NEW.customer_id, 'promo', 'grant:' || NEW.id, NEW.amount_nanos, NEW.created_at);
  RETURN NULL;
END $$;
CREATE TRIGGER open_grant_lot AFTER INSERT ON credit_grant FOR EACH ROW EXECUTE FUNCTION open_grant_lot();
INSERT INTO credit_lot (customer_id, kind, source, amount_nanos, created_at) SELECT customer_id, 'promo', 'grant:' || id, amount_nanos, created_at FROM credit_grant;

-- Takes p_amount off the customer's lots, from p_first as far as it goes, then from the oldest. As use by calls, or as removal.
CREATE FUNCTION take_from_lots(p_customer bigint, p_amount bigint, p_first text, p_as_use boolean) RETURNS void LANGUAGE plpgsql
  SET search_path = public, pg_temp AS $$
DECLARE l record; part bigint; rest bigint := p_amount;
BEGIN
  FOR l IN SELECT id, amount_nanos - used_nanos - removed_nanos AS lasts FROM credit_lot
            WHERE customer_id = p_customer AND amount_nanos > used_nanos + removed_nanos
            ORDER BY (source = p_first) IS TRUE DESC, created_at, id FOR UPDATE LOOP
    EXIT WHEN rest <= 0;
    part := least(rest, l.lasts);
    UPDATE credit_lot SET used_nanos = used_nanos + CASE WHEN p_as_use THEN part ELSE 0 END,
                          removed_nanos = removed_nanos + CASE WHEN p_as_use THEN 0 ELSE part END WHERE id = l.id;
    rest := rest - part;
  END LOOP;
  IF rest > 0 THEN RAISE EXCEPTION 'ledger: lots of customer % fall short by %', p_customer, rest USING ERRCODE = '23514'; END IF;
END $$;

-- The caller holds the wallet's lock.
CREATE FUNCTION attribute_locked(p_customer bigint, p_posted bigint) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE spent bigint;
BEGIN
  SELECT coalesce(sum(amount_nanos - used_nanos - removed_nanos), 0) - p_posted INTO spent
    FROM credit_lot WHERE customer_id = p_customer AND amount_nanos > used_nanos + removed_nanos;
  IF spent > 0 THEN PERFORM take_from_lots(p_customer, spent, NULL, true); END IF;
END $$;

CREATE FUNCTION attribute_lots(p_customer bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE w ledger_account;
BEGIN
  SELECT * INTO w FROM ledger_account WHERE customer_id = p_customer AND kind = 'wallet' FOR NO KEY UPDATE;
  IF FOUND THEN PERFORM attribute_locked(p_customer, w.posted_nanos); END IF;
END $$;

CREATE FUNCTION house_account(p_kind text) RETURNS bigint LANGUAGE sql STABLE SET search_path = public, pg_temp
  RETURN (SELECT id FROM ledger_account WHERE kind = p_kind AND customer_id IS NULL);

-- Wallet and debt of a customer, locked in the order of their ids; the debt's account is opened when it is first needed.
CREATE FUNCTION lock_customer(p_customer bigint, p_needs_receivable boolean, OUT wallet ledger_account, OUT receivable ledger_account) LANGUAGE plpgsql
  SET search_path = public, pg_temp AS $$
BEGIN
  IF p_needs_receivable THEN
    INSERT INTO ledger_account (customer_id, kind, frozen, posted_nanos, held_nanos) VALUES (p_customer, 'receivable', false, 0, 0)
      ON CONFLICT (customer_id, kind) WHERE customer_id IS NOT NULL DO NOTHING;
  END IF;
  PERFORM 1 FROM ledger_account WHERE customer_id = p_customer ORDER BY id FOR NO KEY UPDATE;
  SELECT * INTO wallet FROM ledger_account WHERE customer_id = p_customer AND kind = 'wallet';
  SELECT * INTO receivable FROM ledger_account WHERE customer_id = p_customer AND kind = 'receivable';
  IF wallet.id IS NULL THEN RAISE EXCEPTION 'ledger: customer % has no wallet', p_customer USING ERRCODE = '23503'; END IF;
END $$;

-- Frozen while it owes, while a bank holds a payment of its, or while an operator says so.
CREATE FUNCTION refresh_freeze(p_customer bigint) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE is_frozen boolean;
BEGIN
  PERFORM 1 FROM ledger_account WHERE customer_id = p_customer ORDER BY id FOR NO KEY UPDATE;
  is_frozen := EXISTS (SELECT FROM ledger_account WHERE customer_id = p_customer AND kind = 'receivable' AND posted_nanos < 0)
    OR EXISTS (SELECT FROM dispute d JOIN top_up t ON t.id = d.top_up_id WHERE t.account_id = p_customer AND d.closed_at IS NULL AND d.has_withdrawn)
    OR EXISTS (SELECT FROM billing_profile WHERE account_id = p_customer AND freeze_reason <> '');
  UPDATE ledger_account SET frozen = is_frozen WHERE customer_id = p_customer AND kind = 'wallet' AND frozen <> is_frozen;
  RETURN is_frozen;
END $$;

-- What is free in the wallet pays the debt. The key counts up with what was ever paid, so each payment has its own.
CREATE FUNCTION collect_receivable(p_customer bigint, p_first text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp AS $$
DECLARE c record; part bigint;
BEGIN
  SELECT * INTO c FROM lock_customer(p_customer, false);
  part := least(coalesce(-(c.receivable).posted_nanos, 0), (c.wallet).posted_nanos - (c.wallet).held_nanos);
  IF part <= 0 THEN RETURN 0; END IF;
  PERFORM attribute_locked(p_customer, (c.wallet).posted_nanos);
  PERFORM take_from_lots(p_customer, part, p_first, false);
  PERFORM post_transfer('debt:' || gen_random_uuid(), 'receivable_paid', (c.wallet).id, (c.receivable).id, part);
  PERFORM refresh_freeze(p_customer);
  RETURN part;
END $$;

-- The credit of an order, once for ever. p_subtotal is what Stripe says was paid before tax: it must be what was ordered.
-- True: credited now. False: it was credited before.
CREATE FUNCTION credit_top_up(p_id uuid, p_subtotal_cents bigint, p_tax_cents bigint, p_total_cents bigint) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp AS $$
DECLARE t top_up; c record; key text := 'topup:' || p_id;
BEGIN
  SELECT * INTO t FROM top_up WHERE id = p_id;
  IF t.id IS NULL THEN RAISE EXCEPTION 'ledger: no such order' USING ERRCODE = '23503'; END IF;
  SELECT * INTO c FROM lock_customer(t.account_id, false);
  SELECT * INTO t FROM top_up WHERE id = p_id FOR UPDATE;
  IF t.credited_at IS NOT NULL THEN RETURN false; END IF;
  IF p_subtotal_cents * 10000000 IS DISTINCT FROM t.credit_nanos + t.fee_nanos OR p_subtotal_cents + p_tax_cents IS DISTINCT FROM p_total_cents OR p_tax_cents < 0 THEN
    RAISE EXCEPTION 'ledger: order % is not what was paid', p_id USING ERRCODE = '23514';
  END IF;
  PERFORM post_transfer(key, 'topup', house_account('stripe_clearing'), (c.wallet).id, t.credit_nanos);
  INSERT INTO credit_lot (customer_id, kind, source, amount_nanos) VALUES (t.account_id, 'paid', key, t.credit_nanos);
  UPDATE top_up SET status = 'credited', credited_at = clock_timestamp(), paid_at = coalesce(paid_at, clock_timestamp()), closed_at = NULL, reason = '',
                    receipt_number = nextval('receipt_number'), subtotal_cents = p_subtotal_cents, tax_cents = p_tax_cents, total_cents = p_total_cents
   WHERE id = p_id;
  PERFORM collect_receivable(t.account_id, key);
  RETURN true;
END $$;

-- Takes credit back for a refund or a dispute, once for each key: first what is free in the wallet, the rest becomes a debt.
-- p_whole: all of it from the order's own unused credit, or nothing (a customer's own refund).
-- Returns what was taken (never more than the order still has), or null where p_whole cannot be had. A repeat returns the same.
CREATE FUNCTION claw_back(p_key text, p_kind text, p_top_up uuid, p_amount bigint, p_whole boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp AS $$
DECLARE t top_up; b clawback; c record; lot_key text := 'topup:' || p_top_up; taken bigint; free bigint; house bigint;
BEGIN
  SELECT * INTO t FROM top_up WHERE id = p_top_up;
  IF t.credited_at IS NULL OR p_kind NOT IN ('refund', 'dispute') OR p_key NOT LIKE p_kind || ':%' THEN
    RAISE EXCEPTION 'ledger: nothing was credited that could be taken back' USING ERRCODE = '23503';
  END IF;
  SELECT * INTO c FROM lock_customer(t.account_id, NOT p_whole);
  SELECT * INTO b FROM clawback WHERE key = p_key;
  IF b.key IS NOT NULL THEN
    IF b.top_up_id <> p_top_up OR b.kind <> p_kind THEN RAISE EXCEPTION 'ledger: key % was used for another clawback', p_key USING ERRCODE = '23505'; END IF;
    RETURN b.wallet_nanos + b.receivable_nanos;
  END IF;
  SELECT * INTO t FROM top_up WHERE id = p_top_up FOR UPDATE;
  PERFORM attribute_locked(t.account_id, (c.wallet).posted_nanos);
  taken := least(p_amount, t.credit_nanos - t.clawed_nanos);
  free := least(taken, (c.wallet).posted_nanos - (c.wallet).held_nanos);
  IF p_whole AND (taken < p_amount OR free < p_amount OR (c.wallet).frozen
                  OR (SELECT amount_nanos - used_nanos - removed_nanos FROM credit_lot l WHERE l.source = lot_key) < p_amount) THEN RETURN NULL; END IF;
  IF taken <= 0 THEN RETURN 0; END IF;
  house := house_account(CASE p_kind WHEN 'refund' THEN 'stripe_clearing' ELSE 'dispute' END);
  INSERT INTO clawback (key, kind, top_up_id, wallet_nanos, receivable_nanos) VALUES (p_key, p_kind, p_top_up, free, taken - free);
  IF free > 0 THEN
    PERFORM take_from_lots(t.account_id, free, lot_key, false);
    PERFORM post_transfer(p_key, p_kind, (c.wallet).id, house, free);
  END IF;
  IF taken > free THEN PERFORM post_transfer(p_key || ':debt', p_kind, (c.receivable).id, house, taken - free); END IF;
  UPDATE top_up SET clawed_nanos = clawed_nanos + taken WHERE id = p_top_up;
  PERFORM refresh_freeze(t.account_id);
  RETURN taken;
END $$;

-- A refund failed, a dispute was won: what was taken comes back once, a debt that is still open first.
CREATE FUNCTION give_back(p_key text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE b clawback; t top_up; c record; amount bigint; debt bigint; rest bigint; house bigint; restored bigint;
BEGIN
  SELECT * INTO b FROM clawback WHERE key = p_key;
  IF b.key IS NULL THEN RETURN 0; END IF;
  SELECT * INTO t FROM top_up WHERE id = b.top_up_id;
  SELECT * INTO c FROM lock_customer(t.account_id, false);
  UPDATE clawback SET returned_at = clock_timestamp() WHERE key = p_key AND returned_at IS NULL;
  IF NOT FOUND THEN RETURN 0; END IF;
  amount := b.wallet_nanos + b.receivable_nanos;
  debt := least(amount, coalesce(-(c.receivable).posted_nanos, 0));
  rest := amount - debt;
  house := house_account(CASE b.kind WHEN 'refund' THEN 'stripe_clearing' ELSE 'dispute' END);
  UPDATE top_up SET clawed_nanos = clawed_nanos - amount WHERE id = t.id;
  IF debt > 0 THEN PERFORM post_transfer(p_key || ':back:debt', b.kind || '_back', house, (c.receivable).id, debt); END IF;
  IF rest > 0 THEN
    PERFORM attribute_locked(t.account_id, (c.wallet).posted_nanos);
    PERFORM post_transfer(p_key || ':back', b.kind || '_back', house, (c.wallet).id, rest);
    -- into the order's own lot as far as it was taken from there
    UPDATE credit_lot SET removed_nanos = removed_nanos - least(removed_nanos, rest) WHERE source = 'topup:' || t.id
      RETURNING least((SELECT l.removed_nanos FROM credit_lot l WHERE l.source = 'topup:' || t.id), rest) INTO restored;
    IF rest > coalesce(restored, 0) THEN
      INSERT INTO credit_lot (customer_id, kind, source, amount_nanos) VALUES (t.account_id, 'paid', p_key || ':back', rest - coalesce(restored, 0));
    END IF;
  END IF;
  PERFORM refresh_freeze(t.account_id);
  RETURN amount;
END $$;

-- Ends the lots whose time has come, as far as no call holds the money; what a call holds is looked at again next time.
CREATE FUNCTION expire_lots(p_at timestamptz DEFAULT now()) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE customer bigint; l record; w ledger_account; part bigint; k int := 0;
BEGIN
  FOR customer IN SELECT DISTINCT customer_id FROM credit_lot WHERE expires_at <= p_at AND amount_nanos > used_nanos + removed_nanos ORDER BY 1 LOOP
    SELECT * INTO w FROM ledger_account a WHERE a.customer_id = customer AND a.kind = 'wallet' FOR NO KEY UPDATE;
    PERFORM attribute_locked(customer, w.posted_nanos);
    FOR l IN SELECT id, source, removed_nanos, amount_nanos - used_nanos - removed_nanos AS lasts FROM credit_lot
              WHERE customer_id = customer AND expires_at <= p_at AND amount_nanos > used_nanos + removed_nanos ORDER BY created_at, id FOR UPDATE LOOP
      part := least(l.lasts, w.posted_nanos - w.held_nanos);
      CONTINUE WHEN part <= 0;
      UPDATE credit_lot SET removed_nanos = removed_nanos + part WHERE id = l.id;
      PERFORM post_transfer('expiry:' || l.id || ':' || l.removed_nanos, 'promo_expiry', w.id, house_account('promo'), part);
      w.posted_nanos := w.posted_nanos - part;
      k := k + 1;
    END LOOP;
  END LOOP;
  RETURN k;
END $$;

-- codes: 0 redeemed · 1 this account has redeemed it before · 2 no longer to be had (unknown, disabled, over, used up)
CREATE FUNCTION redeem_promo(p_code text, p_customer bigint, p_user bigint, p_grant uuid) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp AS $$
DECLARE p promo_code;
BEGIN
  PERFORM 1 FROM ledger_account WHERE customer_id = p_customer ORDER BY id FOR NO KEY UPDATE;  -- two tabs of one account, one after the other
  IF EXISTS (SELECT FROM promo_redemption r JOIN promo_code c ON c.id = r.promo_code_id WHERE c.code = p_code AND r.account_id = p_customer) THEN RETURN 1; END IF;
  UPDATE promo_code SET redemption_count = redemption_count + 1
   WHERE code = p_code AND disabled_at IS NULL AND (expires_at IS NULL OR expires_at > now())
     AND (max_redemptions IS NULL OR redemption_count < max_redemptions)
  RETURNING * INTO p;
  IF p.id IS NULL THEN RETURN 2; END IF;
  INSERT INTO promo_redemption (promo_code_id, account_id, user_id, grant_id) VALUES (p.id, p_customer, p_user, p_grant);
  PERFORM grant_credit(p_grant, p_customer, p.amount_nanos, 'Promo code ' || p.code, 'promo code');
  IF p.credit_days IS NOT NULL THEN
    UPDATE credit_lot SET expires_at = now() + make_interval(days => p.credit_days) WHERE source = 'grant:' || p_grant;
  END IF;
  PERFORM collect_receivable(p_customer, 'grant:' || p_grant);
  RETURN 0;
END $$;

-- The auditor's part about money in and out; same shape as check_ledger().
CREATE FUNCTION check_payments() RETURNS TABLE (rule text, what text, expected numeric, found numeric)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT 'C11 credited order differs from its transfer', coalesce(o.id::text, t.idempotency_key), o.credit_nanos::numeric, t.amount_nanos::numeric
    FROM (SELECT * FROM top_up WHERE credited_at IS NOT NULL) o FULL JOIN (SELECT * FROM transfer WHERE kind = 'topup') t ON t.idempotency_key = 'topup:' || o.id
   WHERE o.credit_nanos IS DISTINCT FROM t.amount_nanos
  UNION ALL
  SELECT 'C12 clawed back of an order differs from its clawbacks', o.id::text, coalesce(b.v, 0), o.clawed_nanos FROM top_up o
    LEFT JOIN (SELECT top_up_id, sum(wallet_nanos + receivable_nanos) AS v FROM clawback WHERE returned_at IS NULL GROUP BY 1) b ON b.top_up_id = o.id
   WHERE o.clawed_nanos <> coalesce(b.v, 0)
  UNION ALL
  SELECT 'C13 clawback differs from its transfer', coalesce(b.key, t.idempotency_key), b.v, t.amount_nanos
    FROM (SELECT key, wallet_nanos AS v FROM clawback WHERE wallet_nanos > 0
          UNION ALL SELECT key || ':debt', receivable_nanos FROM clawback WHERE receivable_nanos > 0) b
    FULL JOIN (SELECT * FROM transfer WHERE kind IN ('refund', 'dispute')) t ON t.idempotency_key = b.key
   WHERE b.v IS DISTINCT FROM t.amount_nanos
  UNION ALL
  SELECT 'C13 returned clawback differs from its transfers', coalesce(b.key, t.key), b.v, t.v
    FROM (SELECT key, wallet_nanos + receivable_nanos AS v FROM clawback WHERE returned_at IS NOT NULL) b
    FULL JOIN (SELECT regexp_replace(idempotency_key, ':back(:debt)?$', '') AS key, sum(amount_nanos) AS v
                 FROM transfer WHERE kind IN ('refund_back', 'dispute_back') GROUP BY 1) t USING (key)
   WHERE b.v IS DISTINCT FROM t.v
  UNION ALL
  SELECT 'C14 lots are less than the wallet', a.customer_id::text, a.posted_nanos, coalesce(l.v, 0) FROM ledger_account a
    LEFT JOIN (SELECT customer_id, sum(amount_nanos - used_nanos - removed_nanos) AS v FROM credit_lot GROUP BY 1) l USING (customer_id)
   WHERE a.kind = 'wallet' AND a.posted_nanos > coalesce(l.v, 0) $$;
