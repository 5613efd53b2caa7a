"""Rows of money in and out: orders, what Stripe told us, what was clawed back, whose credit is left, promo codes.

Here rows say what happened and why; the money itself moves only in ``sql/payments.sql``. Cash is what a card pays, in
``_cents``; credit is what a wallet gets, in ``_nanos``.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from tokenhub.ids import random_base62


class BillingProfile(models.Model):
    """What paying needs to know of an account: its Stripe customer, its saved card, what stands on its receipts."""

    account = models.OneToOneField(Account, models.PROTECT, primary_key=True, related_name="billing_profile")
    stripe_customer_id = models.TextField(unique=True, null=True, db_collation="C")
    # of the saved card; Stripe's customer portal may change or remove it
    payment_method_id = models.TextField(blank=True, db_collation="C")
    card_brand = models.TextField(blank=True)
    card_last4 = models.TextField(blank=True)
    company_name = models.CharField(_("company"), max_length=200, blank=True)
    address = models.TextField(_("address"), max_length=500, blank=True)
    tax_id = models.CharField(_("tax id"), max_length=40, blank=True)
    # an operator's own reason; debts and open disputes freeze without one
    freeze_reason = models.TextField(blank=True)

    class Meta:
        db_table = "billing_profile"

    def __str__(self) -> str:
        return f"billing profile of {self.account_id}"

    @property
    def has_card(self) -> bool:
        return bool(self.payment_method_id)


def new_top_up_slug() -> str:
    return f"top-{random_base62(20)}"


class TopUp(models.Model):
    """One order of credit, and everything that its payment came to. Credited at most once, by ``credit_top_up`` alone."""

    class Origin(models.TextChoices):
        CHECKOUT = "checkout", _("paid by hand")
        AUTO = "auto", _("auto top-up")

    class Status(models.TextChoices):
        CREATED = "created", _("created")  # the row stands, Stripe may or may not have heard of it
        OPEN = "open", _("waiting for payment")
        PROCESSING = "processing", _("payment on its way")  # a bank debit: completed, not yet paid
        CREDITED = "credited", _("credited")
        FAILED = "failed", _("failed")
        EXPIRED = "expired", _("expired")
        REVIEW = "review", _("under review")  # Stripe says something that the order does not: a person looks at it

    #: Stripe may still have news of these
    PENDING = (Status.CREATED, Status.OPEN, Status.PROCESSING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.TextField(unique=True, default=new_top_up_slug, db_collation="C")  # names the order in addresses
    account = models.ForeignKey(Account, models.PROTECT, related_name="top_ups")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    origin = models.TextField(choices=Origin, default=Origin.CHECKOUT, db_collation="C")
    request_key = models.UUIDField()  # the form's own: pressing twice is one order
    is_test = models.BooleanField()  # Stripe's livemode, the other way round
    credit_nanos = models.BigIntegerField()
    fee_nanos = models.BigIntegerField(default=0)
    status = models.TextField(choices=Status, default=Status.CREATED, db_collation="C")
    reason = models.TextField(blank=True)  # why it failed or is under review, for the customer
    session_id = models.TextField(unique=True, null=True, db_collation="C")
    checkout_url = models.TextField(blank=True)
    payment_intent_id = models.TextField(unique=True, null=True, db_collation="C")
    card_brand = models.TextField(blank=True)
    card_last4 = models.TextField(blank=True)
    # what Stripe says was paid
    subtotal_cents = models.BigIntegerField(null=True)
    tax_cents = models.BigIntegerField(null=True)
    total_cents = models.BigIntegerField(null=True)
    billed_to = models.JSONField(null=True)  # names, address lines, tax ids (``cards.billed_to``), as when it was paid
    created_at = models.DateTimeField(db_default=Now())
    paid_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)  # failed, expired
    # by credit_top_up() and claw_back() alone
    credited_at = models.DateTimeField(null=True, editable=False)
    receipt_number = models.BigIntegerField(unique=True, null=True, editable=False)
    clawed_nanos = models.BigIntegerField(default=0, editable=False)

    class Meta:
        db_table = "top_up"
        constraints = [
            models.UniqueConstraint(fields=["account", "request_key"], name="one_order_per_request"),
            models.CheckConstraint(condition=Q(credit_nanos__gt=0, fee_nanos__gte=0), name="top_up_positive"),
            models.CheckConstraint(
                condition=Q(credited_at__isnull=False, status="credited")
                | (Q(credited_at__isnull=True) & ~Q(status="credited")),
                name="credited_has_its_time",
            ),
            # I12: refunds and disputes together never take more than the order gave
            models.CheckConstraint(
                condition=Q(clawed_nanos=0)
                | Q(credited_at__isnull=False, clawed_nanos__gt=0, clawed_nanos__lte=F("credit_nanos")),
                name="clawed_within_credit",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "-created_at"], name="top_up_by_account"),
            models.Index(
                fields=["created_at"], condition=Q(status__in=["created", "open", "processing"]), name="top_up_pending"
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def price_nanos(self) -> int:
        """Credit and fee: what is paid before tax."""
        return self.credit_nanos + self.fee_nanos

    @property
    def is_pending(self) -> bool:
        return self.status in self.PENDING

    @property
    def unreturned_nanos(self) -> int:
        return self.credit_nanos - self.clawed_nanos

    def credit_of(self, cash_cents: int) -> int:
        """The credit, in nanos, that stands behind a part of the cash: the same share of fee and tax goes with it."""
        return self.credit_nanos * cash_cents // (self.total_cents or 1)

    def cash_of(self, credit_nanos: int) -> int:
        """The cash, in cents, that is given back for a part of the credit; fee and tax in the same share, rounded down."""
        return (self.total_cents or 0) * credit_nanos // self.credit_nanos


class StripeEvent(models.Model):
    """What Stripe told us, stored before anything is done about it. A hint: the work re-reads the object from Stripe."""

    class Outcome(models.TextChoices):
        PENDING = "", _("waiting")
        HANDLED = "handled", _("handled")
        IGNORED = "ignored", _("nothing to do")  # a type that we do not act on
        ORPHAN = "orphan", _("not ours")  # another product's payment on the same Stripe account
        FAILED = "failed", _("failed")  # tried too often; the reconciler still looks at the object

    id = models.TextField(primary_key=True, db_collation="C")
    type = models.TextField(db_collation="C")
    object_id = models.TextField(blank=True, db_collation="C")
    api_version = models.TextField(blank=True)
    livemode = models.BooleanField()
    payload = models.JSONField()
    received_at = models.DateTimeField(db_default=Now())
    outcome = models.TextField(choices=Outcome, default=Outcome.PENDING, blank=True, db_collation="C")
    attempts = models.IntegerField(default=0)
    error = models.TextField(blank=True)
    handled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "stripe_event"
        indexes = [
            models.Index(fields=["received_at"], condition=Q(outcome=""), name="stripe_event_waiting"),
            models.Index(fields=["object_id"], name="stripe_event_by_object"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class Refund(models.Model):
    """Cash that goes back, whoever asked for it: a customer, an operator, or somebody in Stripe's own dashboard."""

    class Origin(models.TextChoices):
        CUSTOMER = "customer", _("customer")
        OPERATOR = "operator", _("operator")
        STRIPE = "stripe", _("Stripe’s dashboard")

    class Status(models.TextChoices):
        REQUESTED = "requested", _("requested")  # the credit is taken; Stripe may or may not have heard of it
        PENDING = "pending", _("on its way")
        SUCCEEDED = "succeeded", _("refunded")
        FAILED = "failed", _("failed")  # the credit was given back

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    top_up = models.ForeignKey(TopUp, models.PROTECT, related_name="refunds")
    stripe_id = models.TextField(unique=True, null=True, db_collation="C")
    request_key = models.UUIDField(unique=True, null=True)  # the form's own: pressing twice is one refund
    origin = models.TextField(choices=Origin, db_collation="C")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    cash_cents = models.BigIntegerField()
    credit_nanos = models.BigIntegerField()
    reason = models.TextField(blank=True)
    status = models.TextField(choices=Status, default=Status.REQUESTED, db_collation="C")
    failure = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "refund"
        constraints = [
            models.CheckConstraint(condition=Q(cash_cents__gt=0, credit_nanos__gte=0), name="refund_positive")
        ]

    def __str__(self) -> str:
        return f"refund of {self.top_up_id}"

    @property
    def clawback_key(self) -> str:
        return f"refund:{self.id}"


class Dispute(models.Model):
    """A bank's question about a payment. An inquiry moves no money; a withdrawal does, until it is reinstated."""

    id = models.TextField(primary_key=True, db_collation="C")  # Stripe's
    top_up = models.ForeignKey(TopUp, models.PROTECT, related_name="disputes")
    cash_cents = models.BigIntegerField()
    status = models.TextField(db_collation="C")  # Stripe's word
    reason = models.TextField(blank=True)
    has_withdrawn = models.BooleanField(default=False)  # the bank holds the money now
    created_at = models.DateTimeField(db_default=Now())
    evidence_due_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "dispute"
        indexes = [models.Index(fields=["top_up"], condition=Q(closed_at__isnull=True), name="dispute_open")]

    def __str__(self) -> str:
        return self.id

    @property
    def is_inquiry(self) -> bool:
        return self.status.startswith("warning_")

    @property
    def clawback_key(self) -> str:
        return f"dispute:{self.id}"


class Clawback(models.Model):
    """Credit taken back for a refund or a dispute: from what was free in the wallet, the rest as a debt."""

    key = models.TextField(primary_key=True, db_collation="C")
    kind = models.TextField(db_collation="C")  # refund, dispute
    top_up = models.ForeignKey(TopUp, models.PROTECT, related_name="clawbacks")
    wallet_nanos = models.BigIntegerField()
    receivable_nanos = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())
    returned_at = models.DateTimeField(null=True)  # the refund failed, the dispute was won

    class Meta:
        db_table = "clawback"
        constraints = [
            models.CheckConstraint(
                condition=Q(wallet_nanos__gte=0, receivable_nanos__gte=0, kind__in=["refund", "dispute"]),
                name="clawback_parts_not_negative",
            )
        ]

    def __str__(self) -> str:
        return self.key


class CreditLot(models.Model):
    """Where a part of the wallet came from, and how much of it is left. Attribution beside the one spendable balance:
    calls use up the oldest lot first, as computed by ``attribute_lots`` whenever somebody asks."""

    class Kind(models.TextChoices):
        PAID = "paid", _("paid")
        PROMO = "promo", _("promotional")

    customer_id = models.BigIntegerField()
    kind = models.TextField(choices=Kind, db_collation="C")
    source = models.TextField(unique=True, db_collation="C")  # the transfer's idempotency key
    amount_nanos = models.BigIntegerField()
    used_nanos = models.BigIntegerField(db_default=0)  # by calls
    removed_nanos = models.BigIntegerField(db_default=0)  # refunded, disputed, expired, or gone to settle a debt
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "credit_lot"
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_nanos__gt=0, used_nanos__gte=0, removed_nanos__gte=0)
                & Q(amount_nanos__gte=F("used_nanos") + F("removed_nanos")),
                name="lot_within_its_amount",
            ),
            models.CheckConstraint(
                condition=Q(kind="promo") | Q(kind="paid", expires_at__isnull=True), name="paid_credit_lasts"
            ),
        ]
        indexes = [
            models.Index(
                fields=["customer_id", "created_at"],
                condition=Q(amount_nanos__gt=F("used_nanos") + F("removed_nanos")),
                name="lot_with_credit_left",
            ),
            models.Index(fields=["expires_at"], condition=Q(expires_at__isnull=False), name="lot_expiring"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.source}"

    @property
    def left_nanos(self) -> int:
        return self.amount_nanos - self.used_nanos - self.removed_nanos


class AutoTopUp(models.Model):
    """Consent to be charged without being asked: below what, how much, and at most how much a month."""

    account = models.OneToOneField(Account, models.PROTECT, primary_key=True, related_name="auto_top_up")
    is_on = models.BooleanField(default=False)
    threshold_nanos = models.BigIntegerField()
    amount_nanos = models.BigIntegerField()
    monthly_cap_nanos = models.BigIntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")  # who consented
    last_run_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)
    stop_reason = models.TextField(blank=True)  # why it switched itself off

    class Meta:
        db_table = "auto_top_up"
        constraints = [
            models.CheckConstraint(
                condition=Q(threshold_nanos__gt=0, amount_nanos__gt=0, monthly_cap_nanos__gte=F("amount_nanos")),
                name="auto_top_up_bounded",
            )
        ]

    def __str__(self) -> str:
        return f"auto top-up of {self.account_id}"


class PromoCode(models.Model):
    """A word that is worth credit, once for each account and ``max_redemptions`` times in all."""

    code = models.CharField(_("code"), max_length=40, unique=True, db_collation="C")  # kept in capitals
    amount_nanos = models.BigIntegerField(_("credit"))
    max_redemptions = models.PositiveIntegerField(_("redemptions at most"), null=True, blank=True)
    expires_at = models.DateTimeField(_("redeemable until"), null=True, blank=True)
    credit_days = models.PositiveIntegerField(_("days until the credit expires"), null=True, blank=True)
    note = models.CharField(_("note"), max_length=200, blank=True)
    disabled_at = models.DateTimeField(_("disabled"), null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    redemption_count = models.PositiveIntegerField(default=0, editable=False)  # by redeem_promo() alone

    class Meta:
        db_table = "promo_code"
        constraints = [
            models.CheckConstraint(condition=Q(amount_nanos__gt=0), name="promo_positive"),
            models.CheckConstraint(
                condition=Q(max_redemptions__isnull=True) | Q(redemption_count__lte=F("max_redemptions")),
                name="promo_within_its_limit",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class PromoRedemption(models.Model):
    promo_code = models.ForeignKey(PromoCode, models.PROTECT, related_name="redemptions")
    account = models.ForeignKey(Account, models.PROTECT, related_name="promo_redemptions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    grant_id = models.UUIDField(unique=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "promo_redemption"
        constraints = [models.UniqueConstraint(fields=["promo_code", "account"], name="one_redemption_per_account")]

    def __str__(self) -> str:
        return f"{self.promo_code_id} by {self.account_id}"


class Discrepancy(models.Model):
    """Where Stripe and the ledger tell different stories. Written by the reconciler, for an operator to look at."""

    kind = models.TextField(db_collation="C")
    reference = models.TextField(db_collation="C")  # Stripe's id, or the order's
    detail = models.TextField()
    expected_cents = models.BigIntegerField(null=True)  # by Stripe
    found_cents = models.BigIntegerField(null=True)  # by the ledger
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "discrepancy"
        verbose_name_plural = "discrepancies"
        constraints = [models.UniqueConstraint(fields=["kind", "reference"], name="one_discrepancy_each")]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"
