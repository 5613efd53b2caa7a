"""Low-balance mails: once below, again only after it was above."""

from django.core import mail

from accounts.models import Account, Membership
from billing import ledger, notices
from tests.accounts.people import Person, person
from tokenhub.celery import BEAT_SCHEDULE, app
from tokenhub.money import NANOS_PER_USD


def told(someone: Person) -> int:
    """How many mails the person got in one round."""
    mail.outbox.clear()
    notices.tell_low_balances()
    return sum(letter.to == [someone.user.email] for letter in mail.outbox)


def watch(someone: Person, threshold_nanos: int) -> None:
    Account.objects.filter(pk=someone.account.pk).update(low_balance_nanos=threshold_nanos)


def test_it_is_told_once_and_again_only_after_it_was_above() -> None:
    someone = person(starter_credit_nanos=NANOS_PER_USD)
    watch(someone, 5 * NANOS_PER_USD)
    assert told(someone) == 1
    letter = next(letter for letter in mail.outbox if letter.to == [someone.user.email])
    assert "is $1.00, below the threshold of $5.00" in letter.body
    assert told(someone) == 0
    ledger.grant_credit(
        customer_id=someone.account.pk, amount_nanos=9 * NANOS_PER_USD, reason="a test", granted_by="a test"
    )
    assert told(someone) == 0
    watch(someone, 20 * NANOS_PER_USD)  # the balance has been above meanwhile
    assert told(someone) == 1


def test_exactly_at_the_threshold_is_not_below() -> None:
    someone = person(starter_credit_nanos=NANOS_PER_USD)
    watch(someone, NANOS_PER_USD)
    assert told(someone) == 0
    watch(someone, NANOS_PER_USD + 1)
    assert told(someone) == 1


def test_without_a_threshold_or_without_the_wish_nobody_is_told() -> None:
    someone, colleague = person(), person()
    Membership.objects.create(account=someone.account, user=colleague.user, role=Membership.Role.BILLING)
    assert told(someone) == 0
    Membership.objects.filter(user=someone.user, account=someone.account).update(notifies_balance=False)
    watch(someone, NANOS_PER_USD)
    assert told(someone) == 0
    assert [letter.to for letter in mail.outbox] == [[colleague.user.email]]


def test_a_mail_server_that_is_away_is_tried_again(settings) -> None:  # type: ignore[no-untyped-def]
    someone = person()
    watch(someone, NANOS_PER_USD)
    working = settings.MAILERS
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": 1},
        }
    }
    assert told(someone) == 0
    settings.MAILERS = working
    assert told(someone) == 1


def test_everything_on_the_schedule_is_a_task_that_exists() -> None:
    app.loader.import_default_modules()
    assert "billing.tasks.tell_low_balances" in {entry["task"] for entry in BEAT_SCHEDULE.values()}
    assert {entry["task"] for entry in BEAT_SCHEDULE.values()} <= set(app.tasks)
