"""The operator's commands, as processes: what they print, and how they fail."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any, NamedTuple

import pytest
from allauth.account.models import EmailAddress
from django.core.management import load_command_class

from accounts import keys
from accounts.models import Account, ApiKey, AuditEvent, User
from billing import ledger
from billing.models import CreditGrant
from tests.accounts.people import key_for, new_email, person
from tests.servers import ROOT
from tokenhub.money import usd_to_nanos


class Done(NamedTuple):
    status: int
    stdout: str
    stderr: str


def manage(*arguments: str) -> Done:
    """As the command line runs it, but in this process: a dozen imports of Django would cost a minute."""
    with redirect_stdout(StringIO()) as stdout, redirect_stderr(StringIO()) as stderr:
        try:
            load_command_class("tokenhub", arguments[0]).run_from_argv(["manage.py", *arguments])
            status = 0
        except SystemExit as e:
            status = int(e.code or 0)
    return Done(status, stdout.getvalue(), stderr.getvalue())


def process(*arguments: str, **env: str) -> Done:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def answer(*arguments: str, run: Callable[..., Done] = manage) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.status == 0, done
    return dict(json.loads(done.stdout))


def refusal(*arguments: str, run: Callable[..., Done] = manage, **env: str) -> str:
    """The reason, after checking that it came as the one JSON object with exit status 1."""
    done = run(*arguments, "--json", **env)
    assert done.status == 1, done
    body = json.loads(done.stdout)
    assert list(body) == ["error"]
    return str(body["error"])


# ---------------------------------------------------------------- create_account


def test_create_account_makes_a_verified_user_with_account_key_and_starter_credit() -> None:
    email = new_email()
    made = answer("create_account", "--email", email.upper(), "--password", "short")
    assert list(made) == ["user_id", "account_id", "email", "api_key", "key_id", "balance_usd"]
    user = User.objects.get(pk=made["user_id"])
    assert (user.email, user.check_password("short"), user.is_staff) == (email, True, False)
    assert EmailAddress.objects.get(user=user, email=email).verified
    assert Account.objects.get(members=user).pk == made["account_id"]
    found = keys.find(made["api_key"])
    assert found is not None
    assert (found.key_id, found.account_id, found.limit_nanos) == (made["key_id"], made["account_id"], None)
    assert made["balance_usd"] == "1.00"


@pytest.mark.parametrize(("credit", "balance"), [("0", "0.00"), ("12.345678901", "12.345678901")])
def test_credit_usd_replaces_the_starter_credit(credit: str, balance: str) -> None:
    made = answer("create_account", "--email", new_email(), "--credit-usd", credit)
    assert made["balance_usd"] == balance


def test_staff_and_the_keys_limit_are_taken() -> None:
    made = answer("create_account", "--email", new_email(), "--staff", "--limit-usd", "0.25")
    assert User.objects.get(pk=made["user_id"]).is_staff
    assert not User.objects.get(pk=made["user_id"]).has_usable_password()
    assert ApiKey.objects.get(public_id=made["key_id"][4:]).limit_nanos == usd_to_nanos("0.25")


def test_again_for_the_same_address_makes_only_a_new_key() -> None:
    email = new_email()
    first = answer("create_account", "--email", email, "--password", "the first", "--credit-usd", "2")
    second = answer("create_account", "--email", email, "--password", "the second", "--credit-usd", "5", "--staff")
    for name in ("user_id", "account_id", "email", "balance_usd"):
        assert first[name] == second[name]
    assert first["api_key"] != second["api_key"]
    assert keys.find(first["api_key"]) is not None
    user = User.objects.get(email=email)
    assert (user.check_password("the first"), user.is_staff) == (True, False)


def test_two_at_once_for_one_address_make_one_account() -> None:
    email = new_email()
    with ThreadPoolExecutor(2) as pool:
        made = list(
            pool.map(lambda _: answer("create_account", "--email", email, "--credit-usd", "3", run=process), range(2))
        )
    assert made[0]["account_id"] == made[1]["account_id"]
    assert made[0]["api_key"] != made[1]["api_key"]
    assert Account.objects.filter(members__email=email).count() == 1
    assert ledger.wallet(made[0]["account_id"]).posted_nanos == usd_to_nanos("3")


# ---------------------------------------------------------------- grant_credit


def test_grant_credit_is_one_posting_with_its_reason() -> None:
    me = person()
    granted = answer("grant_credit", "--email", me.user.email, "--usd", "2.50", "--reason", "  sorry for the outage ")
    assert (granted["granted_usd"], granted["balance_usd"]) == ("2.50", "2.50")
    grant = CreditGrant.objects.get(customer_id=me.account.pk)
    assert (grant.amount_nanos, grant.reason) == (usd_to_nanos("2.50"), "sorry for the outage")
    assert AuditEvent.objects.filter(account=me.account, action="credit.granted").count() == 1


def test_credit_for_nobody_is_refused() -> None:
    email = new_email()
    assert email in refusal("grant_credit", "--email", email, "--usd", "1", "--reason", "r")


def test_credit_without_a_reason_is_refused_and_nothing_is_posted() -> None:
    me = person()
    assert "reason" in refusal("grant_credit", "--email", me.user.email, "--usd", "1", "--reason", " ")
    assert ledger.wallet(me.account.pk).posted_nanos == 0


# ---------------------------------------------------------------- revoke_key


def test_revoke_key_kills_it_and_says_the_same_again() -> None:
    issued = key_for(person())
    first, second = (answer("revoke_key", "--key-id", issued.row.key_id) for _ in range(2))
    assert first == second
    assert first["key_id"] == issued.row.key_id
    assert keys.find(issued.secret) is None


def test_an_unknown_key_cannot_be_revoked() -> None:
    assert "key-0000000000" in refusal("revoke_key", "--key-id", "key-0000000000")


# ---------------------------------------------------------------- failure


@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "-1", "-1e400", "1e400", "0.0000000001", "1,5", "much", "", "9999999999"]
)
def test_bad_amounts_are_refused(amount: str) -> None:
    email = new_email()
    assert refusal("create_account", "--email", email, f"--credit-usd={amount}")
    assert not User.objects.filter(email=email).exists()


def test_no_credit_is_no_grant() -> None:
    assert "more than 0" in refusal("grant_credit", "--email", new_email(), "--usd", "0", "--reason", "r")


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "a b@example.test", f"{'x' * 250}@example.test"])
def test_bad_addresses_are_refused(email: str) -> None:
    assert "e-mail" in refusal("create_account", "--email", email)


def test_wrong_arguments_are_refused_in_the_same_shape() -> None:
    assert "--email" in refusal("create_account", run=process)
    assert "--colour" in refusal("create_account", "--email", new_email(), "--colour", "red")
    assert "--key-id" in refusal("revoke_key")


def test_without_a_database_the_way_on_is_named() -> None:
    reason = refusal(
        "create_account", "--email", new_email(), run=process, DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing"
    )
    assert "make run" in reason


def test_for_people_there_are_lines_and_a_reason_on_stderr() -> None:
    email = new_email()
    done = manage("create_account", "--email", email)
    lines = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert {name.strip(): value.strip() for name, value in lines.items()}["email"] == email
    failed = manage("revoke_key", "--key-id", "key-0000000000")
    assert (failed.status, failed.stdout) == (1, "")
    assert "there is no key" in failed.stderr
