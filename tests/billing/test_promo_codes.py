"""Promo codes: worth credit once for each account, and as often in all as they allow, however many try at once."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import psycopg
import pytest
from django.db import connection

from billing import ledger, promo_codes
from billing.models import PromoCode
from tests.accounts.people import Person, person
from tokenhub.clock import now

USD = 10**9


def new_code(**fields: object) -> PromoCode:
    return PromoCode.objects.create(code=f"T-{uuid.uuid4().hex[:12].upper()}", amount_nanos=2 * USD, **fields)


def posted(someone: Person) -> int:
    return ledger.wallet(someone.account.pk).posted_nanos


def redeem(someone: Person, code: str) -> bool:
    try:
        promo_codes.redeem(account=someone.account, user=someone.user, code=code)
    except promo_codes.CodeRefused:
        return False
    return True


@pytest.mark.parametrize("code", ["", "NOPE", "\0", "%", "x" * 500])
def test_a_code_that_does_not_exist_gives_nothing(code: str) -> None:
    someone = person()
    assert not redeem(someone, code)
    assert posted(someone) == 0


@pytest.mark.parametrize(
    "fields", [{"disabled_at": now()}, {"expires_at": now() - timedelta(seconds=1)}, {"max_redemptions": 0}]
)
def test_a_code_that_is_over_gives_nothing(fields: dict[str, object]) -> None:
    someone = person()
    assert not redeem(someone, new_code(**fields).code)
    assert posted(someone) == 0


def test_a_code_is_redeemed_once_for_each_account_in_any_case_of_letters() -> None:
    code, someone = new_code(), person()
    assert redeem(someone, f" {code.code.lower()} ")
    assert not redeem(someone, code.code)
    assert redeem(person(), code.code)
    assert posted(someone) == 2 * USD


@pytest.mark.parametrize("accounts", [50, 1])
def test_fifty_at_once_redeem_a_single_use_code_once(accounts: int) -> None:
    """Fifty accounts, and fifty tabs of one account."""
    people = [person() for _ in range(accounts)]
    code, gate = new_code(max_redemptions=1 if accounts > 1 else None), Barrier(50)

    def rush(number: int) -> bool:
        try:
            gate.wait()
            return redeem(people[number % accounts], code.code)
        finally:
            connection.close()  # of this thread

    with ThreadPoolExecutor(50) as threads:
        assert sum(threads.map(rush, range(50))) == 1
    assert sum(map(posted, people)) == 2 * USD
    code.refresh_from_db()
    assert code.redemption_count == 1


def test_its_credit_expires_as_far_as_no_call_has_used_it(owner_db: psycopg.Connection) -> None:
    code, someone = new_code(credit_days=30), person(starter_credit_nanos=USD)
    assert redeem(someone, code.code)
    owner_db.execute("SELECT expire_lots(now() + interval '29 days')")
    assert posted(someone) == 3 * USD
    owner_db.execute("SELECT expire_lots(now() + interval '31 days')")
    assert posted(someone) == USD


def test_whoever_made_a_code_cannot_redeem_it_for_an_account_of_theirs() -> None:
    maker = person()
    code = new_code(created_by=maker.user)
    assert not redeem(maker, code.code)
    assert posted(maker) == 0
    assert redeem(person(), code.code)
