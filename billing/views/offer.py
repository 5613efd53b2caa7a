"""What the panel that sells credit shows, to whoever may pay and to whoever may only look."""

import uuid
from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.conf import settings
from django.http import HttpRequest

from accounts import access
from accounts.models import User
from accounts.powers import Power
from billing import stripe_api
from billing.amounts import LEAST_NANOS, MOST_NANOS, SUGGESTED, cents, fee_nanos
from billing.forms import OTHER, TopUpForm
from tokenhub.money import NANOS_PER_USD, usd_string

#: dollars; chosen until somebody chooses
USUAL = 10


@dataclass(frozen=True)
class Sum:
    """One amount of credit with what it costs before tax."""

    credit_nanos: int
    fee_nanos: int

    @classmethod
    def of(cls, credit_nanos: int) -> "Sum":
        return cls(credit_nanos, fee_nanos(credit_nanos, settings.TOPUP_FEE_BASIS_POINTS))

    @property
    def price_nanos(self) -> int:
        return self.credit_nanos + self.fee_nanos

    @property
    def price_cents(self) -> int:
        return cents(self.price_nanos)


@dataclass(frozen=True)
class Offer:
    form: TopUpForm
    may_pay: bool
    must_confirm_email: bool  # card testers use addresses that are not theirs
    is_configured: bool
    is_test: bool
    adds_tax: bool
    fee_basis_points: int
    least_nanos: int
    most_nanos: int
    chosen: str  # a tile's value
    tiles: list[tuple[str, Sum]]  # by the value of the tile
    other: Sum | None  # of an amount that has no tile

    @property
    def is_open(self) -> bool:
        """Whether there is a form to pay with."""
        return self.may_pay and self.is_configured and not self.must_confirm_email


def offer(request: HttpRequest, form: TopUpForm | None = None, credit_nanos: int | None = None) -> Offer:
    """``form``: a refused one, shown again with what was typed. ``credit_nanos``: what shall be chosen."""
    if form is None:
        form = TopUpForm(initial={"request_key": uuid.uuid4(), **_typed(credit_nanos or USUAL * NANOS_PER_USD)})
    chosen = str(form["amount"].value() or "")
    may_pay = access.may(request, Power.PAY)
    return Offer(
        form=form,
        may_pay=may_pay,
        must_confirm_email=may_pay and must_confirm_email(access.user_of(request)),
        is_configured=stripe_api.is_configured(),
        is_test=settings.TEST_CHECKOUT,
        adds_tax=settings.STRIPE_TAX,
        fee_basis_points=settings.TOPUP_FEE_BASIS_POINTS,
        least_nanos=LEAST_NANOS,
        most_nanos=MOST_NANOS,
        chosen=chosen,
        tiles=[(str(dollars), Sum.of(dollars * NANOS_PER_USD)) for dollars in SUGGESTED],
        other=Sum.of(credit_nanos) if credit_nanos and chosen == OTHER else None,
    )


def must_confirm_email(user: User) -> bool:
    if not settings.PAYING_NEEDS_VERIFIED_EMAIL:
        return False
    return not EmailAddress.objects.filter(user=user, verified=True).exists()


def _typed(credit_nanos: int) -> dict[str, str]:
    dollars, rest = divmod(credit_nanos, NANOS_PER_USD)
    if not rest and dollars in SUGGESTED:
        return {"amount": str(dollars)}
    return {"amount": OTHER, "other": usd_string(credit_nanos)}
