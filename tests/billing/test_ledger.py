"""The database refuses every forbidden state, to the application and to the owner alike; what a disabled guard lets in is found."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.conf import settings

from billing import ledger
from billing.models import TopUp
from gateway.admission import admit_one, settle_one
from tests.gateway.conftest import new_customer
from tests.scenarios import ask, assert_books_are_clean, balance, end
from tokenhub.ids import new_uuid7

_NEW_HOLD = (
    "INSERT INTO hold (id, wallet_id, key_id, boot_id, amount_nanos, checkpoint_nanos, checkpoint_input_tokens,"
    " checkpoint_output_tokens, model_id, price_id, state, captured_nanos, closed_at) VALUES"
    " (gen_random_uuid(), {{{wallet}}}, {{key}}, '{{boot}}', {amount}, {checkpoint}, 0, 0, 1, 1, {state})"
)
_NEW_TRANSFER = "INSERT INTO transfer (idempotency_key, debit_id, credit_id, amount_nanos, kind, hold_id) VALUES "
_NEW_ACCOUNT = "INSERT INTO ledger_account (customer_id, kind, frozen, posted_nanos, held_nanos) VALUES "
_NEW_KEY = (
    "INSERT INTO api_key (public_id, hash, last4, name, account_id, limit_window, window_start, rpm_tat, spent_nanos, held_nanos)"
    " VALUES ('{unique}', sha256('{unique}'), '0000', 'x', {customer}, 'total', '2000-01-01', '2000-01-01', "
)
_NEW_GRANT = "INSERT INTO credit_grant (id, customer_id, amount_nanos, reason, granted_by) VALUES "
_NEW_ORDER = (
    "INSERT INTO top_up (id, slug, account_id, origin, request_key, is_test, credit_nanos, fee_nanos, reason, checkout_url,"
    " card_brand, card_last4, status, credited_at, clawed_nanos)"
    " VALUES (gen_random_uuid(), '{unique}', {customer}, 'checkout', gen_random_uuid(), true, 10000000, 0, '', '', '', '', "
)
_CLOSE = "UPDATE hold SET closed_at = now(), state = "


def new_hold(wallet: str = "wallet", amount: int = 1, checkpoint: int = 0, state: str = "'open', NULL, NULL") -> str:
    return _NEW_HOLD.format(wallet=wallet, amount=amount, checkpoint=checkpoint, state=state)


def admit_call(base: str = "0", least: str = "9", most: str = "9") -> str:
    amounts = ", ".join(f"'{{{{{amount}}}}}'" for amount in (base, least, most))
    return f"SELECT admit('{{boot}}', ARRAY[gen_random_uuid()], ARRAY['{{hash}}'::bytea], {amounts}, '{{{{1}}}}', '{{{{1}}}}')"


#: statements that the application's role cannot even begin: it lacks the privilege
WITHOUT_PRIVILEGE = [
    "UPDATE transfer SET amount_nanos = 1",
    "UPDATE transfer SET amount_nanos = 1 WHERE false",
    "DELETE FROM transfer",
    "DELETE FROM transfer WHERE false",
    "TRUNCATE transfer",
    "TRUNCATE ledger_account, hold, transfer, api_key CASCADE",
    _NEW_TRANSFER + "('x', {clearing}, {wallet}, 5, 'topup', NULL)",
    _NEW_TRANSFER + "('capture:{hold}', {wallet}, {revenue}, 5, 'capture', '{hold}')",
    "COPY transfer FROM STDIN",
    "UPDATE ledger_account SET posted_nanos = 999999",
    "UPDATE ledger_account SET held_nanos = 0",
    "UPDATE ledger_account SET kind = 'receivable' WHERE id = {wallet}",
    "UPDATE ledger_account SET customer_id = {other_customer} WHERE id = {wallet}",
    _NEW_ACCOUNT + "(999999999, 'wallet', false, 1000, 0)",
    "DELETE FROM ledger_account",
    new_hold(),
    "UPDATE hold SET amount_nanos = 1",
    "UPDATE hold SET amount_nanos = amount_nanos + 1",
    "UPDATE hold SET state = 'open', captured_nanos = NULL, closed_at = NULL",
    "UPDATE hold SET state = 'released', closed_at = now()",
    "UPDATE hold SET checkpoint_nanos = 0",
    "DELETE FROM hold",
    "TRUNCATE hold",
    "UPDATE api_key SET spent_nanos = 0",
    "UPDATE api_key SET held_nanos = 0",
    "UPDATE api_key SET account_id = {other_customer}",
    "UPDATE api_key SET hash = '\\x00'",
    "UPDATE api_key SET rpm_tat = now()",
    "UPDATE api_key SET window_start = '2000-01-01'",
    "DELETE FROM api_key",
    "DELETE FROM call_record",
    "UPDATE call_record SET cost_nanos = 0",
    "INSERT INTO call_record SELECT * FROM call_record",
    "UPDATE usage_hour SET cost_nanos = 0",
    "DELETE FROM usage_hour",
    "UPDATE price SET rates = '{{}}'",
    "DELETE FROM price",
    "UPDATE audit_event SET action = 'nothing'",
    "DELETE FROM audit_event",
    "UPDATE process_boot SET heartbeat_at = now()",
    "INSERT INTO process_boot (id, name) VALUES (gen_random_uuid(), 'x')",
    "INSERT INTO transfer_rule VALUES ('gift', 'revenue', 'wallet')",
    "DELETE FROM django_migrations",
    "ALTER TABLE transfer DISABLE TRIGGER ALL",
    "ALTER TABLE hold DISABLE TRIGGER only_forward",
    "ALTER TABLE ledger_account DROP CONSTRAINT wallet_not_overdrawn",
    "DROP TRIGGER no_update ON transfer",
    "DROP TABLE transfer",
    "ALTER TABLE transfer OWNER TO {app_role}",
    "CREATE TRIGGER x AFTER INSERT ON transfer FOR EACH ROW EXECUTE FUNCTION ledger_refuse()",
    "CREATE RULE x AS ON INSERT TO transfer DO INSTEAD NOTHING",
    "CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "ALTER FUNCTION admit SECURITY INVOKER",
    "CREATE FUNCTION public.evil() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TABLE public.evil (i int)",
    "CREATE SCHEMA evil",
    "SET session_replication_role = replica",
    "SET ROLE {owner_role}",
    "SET SESSION AUTHORIZATION postgres",
    # minting
    "SELECT post_transfer('mint', 'topup', {clearing}, {wallet}, 5)",
    "SELECT post_transfer('mint', 'promo', {promo}, {wallet}, 5)",
    _NEW_GRANT + "(gen_random_uuid(), {customer}, 5, 'because', 'me')",
    "UPDATE credit_grant SET amount_nanos = 1",
    "DELETE FROM credit_grant",
    "UPDATE top_up SET credit_nanos = 1",
    "UPDATE top_up SET fee_nanos = 0",
    "UPDATE top_up SET credited_at = now(), status = 'credited'",
    "UPDATE top_up SET clawed_nanos = 0",
    "UPDATE top_up SET total_cents = 1",
    "UPDATE top_up SET account_id = {other_customer}",
    "DELETE FROM top_up",
    "INSERT INTO clawback (key, kind, top_up_id, wallet_nanos, receivable_nanos) VALUES ('refund:x', 'refund', '{order}', 1, 0)",
    "UPDATE clawback SET returned_at = now()",
    "INSERT INTO credit_lot (customer_id, kind, source, amount_nanos) VALUES ({customer}, 'paid', 'x', 5)",
    "UPDATE credit_lot SET used_nanos = 0",
    "UPDATE promo_code SET redemption_count = 0",
    "UPDATE promo_code SET amount_nanos = 1",
    "INSERT INTO promo_redemption (promo_code_id, account_id, grant_id) VALUES (1, {customer}, gen_random_uuid())",
    "SELECT take_from_lots({customer}, 1, NULL, true)",
    "SELECT attribute_locked({customer}, 0)",
    "SELECT lock_customer({customer}, false)",
]

#: calls that the application may make, but not like this; each with what refuses it
REFUSED_CALLS = [
    ("SELECT grant_credit(gen_random_uuid(), {customer}, 0, 'r', 'x')", "transfer_amount_positive"),
    ("SELECT grant_credit(gen_random_uuid(), {customer}, -5, 'r', 'x')", "transfer_amount_positive"),
    ("SELECT grant_credit(gen_random_uuid(), {customer}, NULL, 'r', 'x')", "amount_nanos"),
    ("SELECT grant_credit(gen_random_uuid(), {customer}, 5, '', 'x')", "grant_has_a_reason"),
    ("SELECT grant_credit(gen_random_uuid(), {customer}, 5, NULL, 'x')", "reason"),
    ("SELECT grant_credit(gen_random_uuid(), {customer}, 5, 'r', NULL)", "granted_by"),
    ("SELECT grant_credit(NULL, {customer}, 5, 'r', 'x')", "idempotency_key"),
    ("SELECT grant_credit(gen_random_uuid(), 999999999, 5, 'r', 'x')", "no wallet"),
    ("SELECT grant_credit('{grant}', {customer}, 1001, 'r', 'x')", "used for another"),
    ("SELECT grant_credit('{grant}', {other_customer}, 1000, 'r', 'x')", "used for another"),
    ("SELECT credit_top_up('{unpaid}', 2, 0, 2)", "not what was paid"),
    ("SELECT credit_top_up('{unpaid}', 0, 0, 0)", "not what was paid"),
    ("SELECT credit_top_up('{unpaid}', 1, 1, 1)", "not what was paid"),
    ("SELECT credit_top_up('{unpaid}', 1, -1, 0)", "not what was paid"),
    ("SELECT credit_top_up('{unpaid}', NULL, 0, NULL)", "not what was paid"),
    ("SELECT credit_top_up(gen_random_uuid(), 1, 0, 1)", "no such order"),
    ("SELECT claw_back('refund:y', 'refund', '{unpaid}', 5)", "nothing was credited"),
    ("SELECT claw_back('refund:y', 'gift', '{order}', 5)", "nothing was credited"),
    ("SELECT claw_back('topup:y', 'refund', '{order}', 5)", "nothing was credited"),
    ("UPDATE top_up SET status = 'credited' WHERE id = '{unpaid}'", "credited_has_its_time"),
    ("UPDATE top_up SET status = 'open' WHERE id = '{order}'", "credited_has_its_time"),
    (_NEW_ORDER + "'credited', now(), 0)", "born_uncredited"),
    (_NEW_ORDER + "'credited', NULL, 0)", "credited_has_its_time"),
    (_NEW_ORDER + "'open', NULL, 5)", "clawed_within_credit"),
    ("DELETE FROM stripe_event", "no_delete"),
    ("DELETE FROM refund", "no_delete"),
    ("DELETE FROM dispute", "no_delete"),
    (_NEW_KEY + "-5, 0)", "key_counters_not_negative"),
    (_NEW_KEY + "5, 0)", "born_unspent"),
    (_NEW_KEY + "0, 5)", "born_unspent"),
    (admit_call(least="-5", most="-5"), "checkpoint_within_hold"),
    (admit_call(least="0", most="0"), "hold_amount_positive"),
    *((admit_call(**{bound: value}), "amount_nanos") for bound in ("base", "least", "most") for value in ("NULL", "")),
    *((f"SELECT settle('{{{{{{hold}}}}}}', '{{{{{{wallet}}}}}}', '{{{{{cost}}}}}', {{settled}})", "hold_state") for cost in ("-1", "NULL", "")),
]  # fmt: skip

#: what even the owner (a migration, a hasty hand at a prompt) is refused as long as the guards stand; each with its guard
REFUSED_TO_THE_OWNER = [
    ("UPDATE transfer SET amount_nanos = 1", "no_update"),
    ("UPDATE transfer SET amount_nanos = 1 WHERE false", "no_update"),
    ("DELETE FROM transfer", "no_delete"),
    ("TRUNCATE transfer", "no_truncate"),
    ("TRUNCATE ledger_account CASCADE", "no_truncate"),
    ("UPDATE ledger_account SET posted_nanos = posted_nanos + 1 WHERE id = {wallet}", "moved_by_triggers_only"),
    ("UPDATE ledger_account SET held_nanos = 0 WHERE id = {wallet}", "moved_by_triggers_only"),
    ("UPDATE ledger_account SET kind = 'receivable' WHERE id = {untouched}", "moved_by_triggers_only"),
    ("UPDATE ledger_account SET customer_id = 999999999 WHERE id = {wallet}", "moved_by_triggers_only"),
    ("UPDATE ledger_account SET posted_nanos = 5 WHERE id = {revenue}", "house_not_materialised"),
    (_NEW_ACCOUNT + "(999999999, 'wallet', false, 1000, 0)", "born_empty"),
    (_NEW_ACCOUNT + "({customer}, 'wallet', false, 0, 0)", "one_account_per_customer"),
    (_NEW_ACCOUNT + "(NULL, 'revenue', false, 0, 0)", "one_house_account"),
    (_NEW_ACCOUNT + "(NULL, 'wallet', false, 0, 0)", "customer_kinds_have_customers"),
    (_NEW_ACCOUNT + "(NULL, 'pocket', false, 0, 0)", "ledger_account_kind_known"),
    ("DELETE FROM ledger_account", "no_delete"),
    ("UPDATE hold SET amount_nanos = amount_nanos - 1 WHERE id = '{hold}'", "only_forward"),
    ("UPDATE hold SET state = 'open', captured_nanos = NULL, closed_at = NULL WHERE id = '{done}'", "only_forward"),
    ("UPDATE hold SET captured_nanos = 1 WHERE id = '{done}'", "only_forward"),
    ("UPDATE hold SET checkpoint_nanos = 0 WHERE id = '{hold}'", "only_forward"),
    ("UPDATE hold SET checkpoint_nanos = 101 WHERE id = '{hold}'", "checkpoint_within_hold"),
    ("UPDATE hold SET wallet_id = {other_wallet} WHERE id = '{hold}'", "only_forward"),
    ("UPDATE hold SET key_id = 0 WHERE id = '{hold}'", "only_forward"),
    ("UPDATE hold SET boot_id = gen_random_uuid() WHERE id = '{hold}'", "only_forward"),
    ("UPDATE hold SET price_id = 2 WHERE id = '{hold}'", "only_forward"),
    ("UPDATE hold SET model_id = 2 WHERE id = '{hold}'", "only_forward"),
    ("UPDATE hold SET created_at = now() - interval '1 day' WHERE id = '{hold}'", "only_forward"),
    ("UPDATE hold SET amount_nanos = 100000 WHERE id = '{hold}'", "wallet_not_overdrawn"),
    (_CLOSE + "'captured' WHERE id = '{hold}'", "hold_state"),
    (_CLOSE + "'captured', captured_nanos = amount_nanos + 1 WHERE id = '{hold}'", "hold_state"),
    (_CLOSE + "'captured', captured_nanos = -1 WHERE id = '{hold}'", "hold_state"),
    (_CLOSE + "'captured', captured_nanos = 101, amount_nanos = 101 WHERE id = '{hold}'", "only_forward"),
    (_CLOSE + "'released', captured_nanos = 1 WHERE id = '{hold}'", "hold_state"),
    (_CLOSE + "'lost' WHERE id = '{hold}'", "hold_state"),
    ("UPDATE hold SET state = 'released' WHERE id = '{hold}'", "hold_state"),
    ("DELETE FROM hold", "no_delete"),
    ("TRUNCATE hold", "no_truncate"),
    (new_hold(amount=100_000), "wallet_not_overdrawn"),
    (new_hold(amount=0), "hold_amount_positive"),
    (new_hold(wallet="other_wallet"), "key of another account"),
    (new_hold(wallet="revenue"), "no wallet"),
    (new_hold(wallet="receivable"), "no wallet"),
    (new_hold(checkpoint=1), "born_open"),
    (new_hold(state="'captured', 1, now()"), "born_open"),
    (
        _NEW_TRANSFER + "('capture:{hold}', {wallet}, {revenue}, 5, 'capture', '{hold}')",
        "capture_only_by_closing_a_hold",
    ),
    (_NEW_TRANSFER + "('capture:x', {wallet}, {revenue}, 5, 'capture', NULL)", "capture_key"),
    (_NEW_TRANSFER + "('capture:x', {wallet}, {revenue}, 5, 'capture', '{hold}')", "capture_key"),
    (_NEW_TRANSFER + "('y', {clearing}, {wallet}, 5, 'topup', '{hold}')", "capture_key"),
    (_NEW_TRANSFER + "('y', {wallet}, {clearing}, 100000, 'refund', NULL)", "wallet_not_overdrawn"),
    (_NEW_TRANSFER + "('y', {wallet}, {wallet}, 1, 'refund', NULL)", "transfer_between_two"),
    (_NEW_TRANSFER + "('y', {clearing}, {wallet}, 0, 'topup', NULL)", "transfer_amount_positive"),
    (_NEW_TRANSFER + "('y', {clearing}, {wallet}, 5, 'gift', NULL)", "no rule"),
    (_NEW_TRANSFER + "('y', {wallet}, {receivable}, 5, 'receivable_paid', NULL)", "no rule"),  # of another customer
    (_NEW_TRANSFER + "('grant:{grant}', {promo}, {wallet}, 5, 'promo', NULL)", "transfer_pkey"),
    ("SELECT post_transfer('y', 'capture', {wallet}, {revenue}, 5)", "written by settle only"),
    ("SELECT post_transfer('y', 'overrun', {overrun}, {revenue}, 5)", "written by settle only"),
    ("SELECT post_transfer('y', 'topup', {clearing}, {wallet}, -5)", "transfer_amount_positive"),
    ("SELECT post_transfer('y', 'topup', {clearing}, {wallet}, 0)", "transfer_amount_positive"),
    ("SELECT post_transfer('grant:{grant}', 'promo', {promo}, {wallet}, 6)", "used for another"),
    ("SELECT post_transfer('y', 'refund', {wallet}, {clearing}, 851)", "wallet_not_overdrawn"),
    ("SELECT post_transfer('y', 'topup', {wallet}, {clearing}, 5)", "no rule"),
    ("SELECT post_transfer('y', 'adjustment', {wallet}, {other_wallet}, 5)", "no rule"),
    ("SELECT post_transfer('y', 'topup', {clearing}, 999999999, 5)", "no rule"),
    ("UPDATE api_key SET spent_nanos = 1 WHERE id = {key}", "counted_by_triggers_only"),
    ("UPDATE api_key SET held_nanos = 0 WHERE id = {key}", "counted_by_triggers_only"),
    ("UPDATE api_key SET account_id = {other_customer} WHERE id = {key}", "counted_by_triggers_only"),
    ("UPDATE api_key SET hash = sha256('x') WHERE id = {key}", "counted_by_triggers_only"),
    ("UPDATE api_key SET hash = '\\x00' WHERE id = {key}", "key_hash_is_sha256"),
    ("UPDATE top_up SET credit_nanos = 1 WHERE id = '{unpaid}'", "order_is_fixed"),
    ("UPDATE top_up SET account_id = {customer} WHERE id = '{order}'", "order_is_fixed"),
    ("UPDATE top_up SET credited_at = now() WHERE id = '{order}'", "order_is_fixed"),
    ("UPDATE top_up SET total_cents = 5 WHERE id = '{order}'", "order_is_fixed"),
    ("UPDATE top_up SET clawed_nanos = credit_nanos + 1 WHERE id = '{order}'", "clawed_within_credit"),
    ("UPDATE top_up SET clawed_nanos = -1 WHERE id = '{order}'", "clawed_within_credit"),
    ("UPDATE credit_lot SET used_nanos = amount_nanos + 1", "lot_within_its_amount"),
    ("UPDATE credit_lot SET expires_at = now() WHERE source = 'topup:{order}'", "paid_credit_lasts"),
    ("UPDATE ledger_account SET posted_nanos = 5 WHERE id = {receivable}", "receivable_is_a_debt"),
    *(
        (f"{statement} {table}" + (" CASCADE" if statement == "TRUNCATE" else ""), f"no_{statement.split()[0].lower()}")
        for table in ("top_up", "clawback", "credit_lot", "stripe_event", "refund", "dispute", "promo_redemption")
        for statement in ("DELETE FROM", "TRUNCATE")
    ),
    *(
        (f"{statement} {table}{tail}", f"no_{statement.split()[0].lower()}")
        for table in ("credit_grant", "price", "audit_event", "call_record")
        for statement, tail in (("UPDATE", " SET id = id"), ("DELETE FROM", ""), ("TRUNCATE", " CASCADE"))
    ),
]


@pytest.fixture(scope="module")
def scene(django_db_setup: None) -> dict[str, Any]:
    """A wallet of 950 with an open hold of 100 (checkpoint at 30), a captured call, and a neighbour."""
    mine, other, idle, buyer = new_customer(0), new_customer(1000), new_customer(0), new_customer(0)
    grant, boot, hold, done = uuid.uuid4(), uuid.uuid4(), new_uuid7(), new_uuid7()
    ledger.grant_credit(
        customer_id=mine.account.pk, amount_nanos=1000, reason="test", granted_by="test", grant_id=grant
    )
    house = ledger.LedgerAccount.objects.filter(customer_id=None).values_list("kind", "id")
    with psycopg.connect(settings.DATABASE_OWNER_URL, autocommit=True) as owner:
        owner.execute("SELECT start_boot(%s, 'test')", [boot])
        receivable = owner.execute(_NEW_ACCOUNT + "(%s, 'receivable', false, 0, 0) RETURNING id", [other.account.pk])
        [receivable_id] = receivable.fetchone() or [0]
        assert admit_one(boot.bytes, ask(mine, 100, call=hold)).is_held
        assert admit_one(boot.bytes, ask(mine, 60, call=done)).is_held
        owner.execute("SELECT checkpoint_holds(%s, '{30}', '{1}', '{1}')", [[uuid.UUID(bytes=hold)]])
    settle_one(end(done, mine.wallet.pk, 50))
    order, unpaid = (
        TopUp.objects.create(account=buyer.account, request_key=uuid.uuid4(), is_test=True, credit_nanos=10_000_000)
        for _ in range(2)
    )
    assert ledger.credit_top_up(top_up_id=order.pk, subtotal_cents=1, tax_cents=0, total_cents=1)
    return {
        "order": order.pk,
        "unpaid": unpaid.pk,
        "app_role": settings.DATABASES["default"]["USER"],
        "owner_role": settings.DATABASES["owner"]["USER"],
        "customer": mine.account.pk, "wallet": mine.wallet.pk, "key": mine.key_row.pk,
        "hash": "\\x" + bytes(mine.key_row.hash).hex(),
        "other_customer": other.account.pk, "other_wallet": other.wallet.pk, "receivable": receivable_id,
        "untouched": idle.wallet.pk,
        "boot": boot, "hold": uuid.UUID(bytes=hold), "done": uuid.UUID(bytes=done), "grant": grant,
        "clearing": dict(house)["stripe_clearing"], **dict(house),
        "unique": uuid.uuid4().hex[:10],
        "settled": "'{200}', '{1}', '{1}', '{0}', '{0}', '{1}', '{0}', '{1}', '{1}', '{0}', ARRAY[NULL]",
    }  # fmt: skip


@pytest.fixture
def unchanged(owner_db: psycopg.Connection) -> Iterator[None]:
    """Whatever the test tries: transfers, accounts, holds and grants stay as they are, and the books are clean."""

    def books() -> Any:
        tables = (
            "transfer",
            "ledger_account",
            "hold",
            "credit_grant",
            "call_record",
            "top_up",
            "clawback",
            "credit_lot",
        )
        look = ", ".join(f"(SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t)" for table in tables)
        return owner_db.execute("SELECT " + look).fetchone()

    before = books()
    yield
    assert books() == before
    assert_books_are_clean(owner_db)


@pytest.mark.parametrize("statement", WITHOUT_PRIVILEGE)
def test_the_application_lacks_the_privilege(
    app_db: psycopg.Connection, scene: dict[str, Any], unchanged: None, statement: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app_db.execute(statement.format(**scene))


@pytest.mark.parametrize(("statement", "guard"), REFUSED_CALLS)
def test_the_application_is_refused(
    app_db: psycopg.Connection, scene: dict[str, Any], unchanged: None, statement: str, guard: str
) -> None:
    with pytest.raises(psycopg.errors.IntegrityError, match=guard):
        app_db.execute(statement.format(**scene))


@pytest.mark.parametrize(("statement", "guard"), REFUSED_TO_THE_OWNER)
def test_the_owner_is_refused(
    owner_db: psycopg.Connection, scene: dict[str, Any], unchanged: None, statement: str, guard: str
) -> None:
    owner_db.execute(f"SET ROLE {scene['owner_role']}")
    with pytest.raises((psycopg.errors.IntegrityError, psycopg.errors.InsufficientPrivilege), match=guard):
        owner_db.execute(statement.format(**scene))


def test_a_grant_without_grant_option_grants_nothing(app_db: psycopg.Connection, scene: dict[str, Any]) -> None:
    app_db.execute("GRANT UPDATE ON ledger_account TO {app_role}".format(**scene))  # PostgreSQL only warns
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app_db.execute("UPDATE ledger_account SET posted_nanos = 1")


def test_the_application_cannot_make_temporary_tables(app_db: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app_db.execute("CREATE TEMP TABLE hold (i int)")


def test_temporary_tables_do_not_shadow_the_ledger(owner_db: psycopg.Connection, scene: dict[str, Any]) -> None:
    """The classic hole of SECURITY DEFINER: pg_temp is searched first unless named last."""
    poor = new_customer(10)
    for table in ("hold", "transfer", "ledger_account", "api_key", "process_boot"):
        owner_db.execute(f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING ALL)")
        owner_db.execute(f"GRANT ALL ON pg_temp.{table} TO PUBLIC")
    owner_db.execute(
        "INSERT INTO pg_temp.ledger_account (id, customer_id, kind, frozen, posted_nanos, held_nanos)"
        " OVERRIDING SYSTEM VALUE VALUES (%s, %s, 'wallet', false, 1000000, 0)",
        [poor.wallet.pk, poor.account.pk],
    )
    owner_db.execute("INSERT INTO pg_temp.api_key SELECT * FROM public.api_key WHERE id = %s", [poor.key_row.pk])
    owner_db.execute(
        "INSERT INTO pg_temp.process_boot SELECT * FROM public.process_boot WHERE id = %s", [scene["boot"]]
    )
    answer = owner_db.execute(
        "SELECT codes, free FROM admit(%s, ARRAY[gen_random_uuid()], %s, '{0}', '{500}', '{500}', '{1}', '{1}')",
        [scene["boot"], [bytes(poor.key_row.hash)]],
    )
    assert answer.fetchone() == ([8], [10])


# ---------------------------------------------------------------- the guards themselves


def test_every_definer_function_searches_temporary_tables_last(owner_db: psycopg.Connection) -> None:
    functions = owner_db.execute(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    ).fetchall()
    assert {name for name, _ in functions} >= {"admit", "settle", "sweep_holds", "grant_credit", "open_wallet"}
    assert [name for name, config in functions if "search_path=public, pg_temp" not in config] == []


def test_the_application_may_call_what_the_apps_declare_and_nothing_else(owner_db: psycopg.Connection) -> None:
    declared = {name for config in apps.get_app_configs() for name in getattr(config, "ledger_functions", [])}
    callable_ones = owner_db.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND has_function_privilege(%s, oid, 'EXECUTE')",
        [settings.DATABASES["default"]["USER"]],
    ).fetchall()
    assert {name for (name,) in callable_ones} == declared
    assert "post_transfer" not in declared


def test_every_guard_stands(owner_db: psycopg.Connection) -> None:
    triggers = owner_db.execute(
        "SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger"
        " WHERE NOT tgisinternal AND tgrelid::regclass::text NOT LIKE 'pg_%'"
    ).fetchall()
    assert [(table, name) for table, name, enabled in triggers if enabled != "O"] == []
    standing = {(table, name) for table, name, _ in triggers}
    append_only = ("transfer", "credit_grant", "price", "audit_event", "call_record")
    assert standing >= {(table, f"no_{event}") for table in append_only for event in ("update", "delete", "truncate")}
    assert standing >= {
        (table, f"no_{event}") for table in ("hold", "ledger_account") for event in ("delete", "truncate")
    }
    assert standing >= {
        ("ledger_account", "born_empty"), ("ledger_account", "moved_by_triggers_only"),
        ("api_key", "born_unspent"), ("api_key", "counted_by_triggers_only"),
        ("transfer", "capture_only_by_closing_a_hold"), ("transfer", "apply_insert"),
        ("hold", "born_open"), ("hold", "only_forward"), ("hold", "apply_insert"), ("hold", "apply_update"),
        ("account", "open_wallet"),
    }  # fmt: skip


def test_the_application_owns_nothing_and_can_become_nobody_else(owner_db: psycopg.Connection) -> None:
    role = settings.DATABASES["default"]["USER"]
    owned = owner_db.execute(
        "SELECT count(*) FROM pg_shdepend WHERE refobjid = to_regrole(%s) AND deptype = 'o'", [role]
    )
    assert owned.fetchone() == (0,)
    powers = owner_db.execute(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,"
        " EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) FROM pg_roles r WHERE rolname = %s",
        [role],
    )
    assert powers.fetchone() == (False,) * 6


@pytest.mark.parametrize(
    ("tables", "damage", "found"),
    [
        ("ledger_account", "UPDATE ledger_account SET posted_nanos = posted_nanos + 1 WHERE id = {wallet}", {"C2"}),
        ("ledger_account", "UPDATE ledger_account SET held_nanos = held_nanos + 1 WHERE id = {wallet}", {"C3"}),
        (
            "ledger_account",
            "ALTER TABLE ledger_account DROP CONSTRAINT wallet_not_overdrawn;"
            "UPDATE ledger_account SET posted_nanos = 50 WHERE id = {wallet}",
            {"C1", "C2"},
        ),
        ("transfer", "DELETE FROM transfer WHERE hold_id = '{done}'", {"C2", "C4"}),
        ("hold", "UPDATE hold SET captured_nanos = 51 WHERE id = '{done}'", {"C4", "C6"}),
        ("hold", "DELETE FROM hold WHERE id = '{done}'", {"C4", "C6"}),
        ("hold", "DELETE FROM hold WHERE id = '{hold}'", {"C3", "C7"}),
        ("api_key", "UPDATE api_key SET held_nanos = 99 WHERE id = {key}", {"C7"}),
        ("call_record", "UPDATE call_record SET cost_nanos = 49 WHERE id = '{done}'", {"C6", "C8"}),
        ("usage_hour", "UPDATE usage_hour SET calls = 2 WHERE key_id = {key}", {"C8"}),
        ("credit_grant", "UPDATE credit_grant SET amount_nanos = 999 WHERE id = '{grant}'", {"C10"}),
        ("credit_grant", "DELETE FROM credit_grant WHERE id = '{grant}'", {"C10"}),
        ("credit_grant", _NEW_GRANT + "(gen_random_uuid(), {customer}, 5, 'because', 'me')", {"C10"}),
    ],
)
def test_what_a_disabled_guard_lets_in_is_found(
    owner_db: psycopg.Connection, scene: dict[str, Any], tables: str, damage: str, found: set[str]
) -> None:
    with owner_db.transaction(force_rollback=True):
        owner_db.execute(f"ALTER TABLE {tables} DISABLE TRIGGER USER")
        owner_db.execute(damage.format(**scene))
        violations = owner_db.execute(
            "SELECT rule FROM check_ledger() UNION ALL SELECT rule FROM check_calls()"
        ).fetchall()
    assert {rule.split()[0] for (rule,) in violations} == found
    assert_books_are_clean(owner_db)


# ---------------------------------------------------------------- granting credit


def test_a_grant_is_posted_once_with_its_reason(app_db: psycopg.Connection) -> None:
    customer, grant_id = new_customer(0), uuid.uuid4()

    def grant() -> bool:
        return ledger.grant_credit(
            customer_id=customer.account.pk, amount_nanos=7, reason="a gift", granted_by="me", grant_id=grant_id
        )

    assert [grant(), grant()] == [True, False]
    assert balance(customer) == (7, 0)
    row = app_db.execute(
        "SELECT customer_id, amount_nanos, reason, granted_by FROM credit_grant WHERE id = %s", [grant_id]
    )
    assert row.fetchall() == [(customer.account.pk, 7, "a gift", "me")]
    assert_books_are_clean(app_db)


def test_every_account_is_born_with_one_empty_wallet(app_db: psycopg.Connection) -> None:
    customer = new_customer(0)
    wallets = app_db.execute(
        "SELECT kind, posted_nanos, held_nanos FROM ledger_account WHERE customer_id = %s", [customer.account.pk]
    )
    assert wallets.fetchall() == [("wallet", 0, 0)]
