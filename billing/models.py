"""The ledger's rows. Django describes them; the database guards them (``sql/``) and is the only one to move money.

Amounts are nano-USD in ``bigint`` and end in ``_nanos``. Foreign keys on hot tables are plain columns: the statement
triggers check the same references once a batch, which halves the database's work per call (docs/map.md).
"""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from billing.payment_models import (
    AutoTopUp,
    BillingProfile,
    Clawback,
    CreditLot,
    Discrepancy,
    Dispute,
    PromoCode,
    PromoRedemption,
    Refund,
    StripeEvent,
    TopUp,
)

__all__ = [
    "AutoTopUp",
    "BillingProfile",
    "Clawback",
    "CreditGrant",
    "CreditLot",
    "Discrepancy",
    "Dispute",
    "Hold",
    "LedgerAccount",
    "Price",
    "ProcessBoot",
    "PromoCode",
    "PromoRedemption",
    "Refund",
    "StripeEvent",
    "TopUp",
    "Transfer",
    "TransferRule",
]


class LedgerAccount(models.Model):
    class Kind(models.TextChoices):
        WALLET = "wallet", _("wallet")
        RECEIVABLE = "receivable", _("receivable")
        STRIPE_CLEARING = "stripe_clearing", _("Stripe clearing")
        PROMO = "promo", _("promotional credit")
        REVENUE = "revenue", _("revenue")
        OVERRUN = "overrun", _("overrun")
        DISPUTE = "dispute", _("dispute")
        ADJUSTMENT = "adjustment", _("adjustment")

    CUSTOMER_KINDS = (Kind.WALLET, Kind.RECEIVABLE)

    customer_id = models.BigIntegerField(null=True)  # accounts.Account; null for the house
    kind = models.TextField(choices=Kind, db_collation="C")
    frozen = models.BooleanField(default=False)
    # credits − debits. House accounts stay 0: their balance is a SUM, or they would be one hot row for everybody
    posted_nanos = models.BigIntegerField(default=0)
    held_nanos = models.BigIntegerField(default=0)

    class Meta:
        db_table = "ledger_account"
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    kind__in=[
                        "wallet",
                        "receivable",
                        "stripe_clearing",
                        "promo",
                        "revenue",
                        "overrun",
                        "dispute",
                        "adjustment",
                    ]
                ),
                name="ledger_account_kind_known",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["wallet", "receivable"], customer_id__isnull=False)
                | (~Q(kind__in=["wallet", "receivable"]) & Q(customer_id__isnull=True)),
                name="customer_kinds_have_customers",
            ),
            models.CheckConstraint(condition=Q(held_nanos__gte=0), name="held_not_negative"),
            models.CheckConstraint(
                condition=~Q(kind="wallet") | Q(posted_nanos__gte=F("held_nanos")), name="wallet_not_overdrawn"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["wallet", "receivable"]) | Q(posted_nanos=0, held_nanos=0),
                name="house_not_materialised",
            ),
            models.UniqueConstraint(
                fields=["customer_id", "kind"], condition=Q(customer_id__isnull=False), name="one_account_per_customer"
            ),
            models.UniqueConstraint(fields=["kind"], condition=Q(customer_id__isnull=True), name="one_house_account"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.customer_id or 'of the house'}"

    @property
    def available_nanos(self) -> int:
        return self.posted_nanos - self.held_nanos


class TransferRule(models.Model):
    """Which way money of each kind may flow: data, because a CHECK cannot look at two accounts."""

    pk = models.CompositePrimaryKey("kind", "debit_kind", "credit_kind")
    kind = models.TextField(db_collation="C")
    debit_kind = models.TextField(db_collation="C")
    credit_kind = models.TextField(db_collation="C")

    class Meta:
        db_table = "transfer_rule"

    def __str__(self) -> str:
        return f"{self.kind}: {self.debit_kind} → {self.credit_kind}"


class Transfer(models.Model):
    """One movement from a debit to a credit account: conservation is structural. Append-only."""

    idempotency_key = models.TextField(primary_key=True, db_collation="C")  # the key is the identity
    debit_id = models.BigIntegerField()
    credit_id = models.BigIntegerField()
    amount_nanos = models.BigIntegerField()
    kind = models.TextField(db_collation="C")
    hold_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "transfer"
        constraints = [
            models.CheckConstraint(condition=Q(amount_nanos__gt=0), name="transfer_amount_positive"),
            models.CheckConstraint(condition=~Q(debit_id=F("credit_id")), name="transfer_between_two"),
        ]
        # the customer's ledger page; captures are shown from the call records, so the hot path pays for no entry here
        indexes = [
            models.Index(fields=["debit_id", "created_at"], condition=~Q(kind="capture"), name="transfer_debit"),
            models.Index(fields=["credit_id", "created_at"], condition=~Q(kind="capture"), name="transfer_credit"),
        ]

    def __str__(self) -> str:
        return self.idempotency_key


class CreditGrant(models.Model):
    """Why credit was given: no grant without its row, no row without its transfer (both written by ``grant_credit``)."""

    id = models.UUIDField(primary_key=True)
    customer_id = models.BigIntegerField()
    amount_nanos = models.BigIntegerField()
    reason = models.TextField()
    granted_by = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "credit_grant"
        constraints = [
            models.CheckConstraint(condition=Q(amount_nanos__gt=0), name="grant_positive"),
            models.CheckConstraint(condition=~Q(reason=""), name="grant_has_a_reason"),
        ]
        indexes = [models.Index(fields=["customer_id", "created_at"], name="grant_by_customer")]

    def __str__(self) -> str:
        return f"{self.reason} for {self.customer_id}"


class ProcessBoot(models.Model):
    """One start of one process. A hold belongs to the boot that took it; a silent boot's holds are ended by the sweeper."""

    id = models.UUIDField(primary_key=True)
    name = models.TextField(default="")
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(
        null=True
    )  # set once: a process that wakes up after it was declared dead is refused

    class Meta:
        db_table = "process_boot"

    def __str__(self) -> str:
        return f"{self.name} {self.id}"


class Hold(models.Model):
    """The most that a call may cost, reserved. Open → captured or released, once; grows only while open."""

    id = models.UUIDField(primary_key=True)  # the call's id: a retry is the same hold
    wallet_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    boot_id = models.UUIDField()
    amount_nanos = models.BigIntegerField()
    checkpoint_nanos = models.BigIntegerField(default=0)  # metered so far; captured if the process dies
    checkpoint_input_tokens = models.IntegerField(default=0)
    checkpoint_output_tokens = models.IntegerField(default=0)
    captured_nanos = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    model_id = models.IntegerField()
    price_id = models.IntegerField()  # frozen at admission
    # with the checkpoint: another model than asked for, where a fallback answers
    served_model_id = models.IntegerField(null=True)
    served_price_id = models.IntegerField(null=True)
    state = models.TextField(default="open", db_collation="C")

    class Meta:
        db_table = "hold"
        constraints = [
            models.CheckConstraint(condition=Q(amount_nanos__gt=0), name="hold_amount_positive"),
            models.CheckConstraint(
                condition=Q(checkpoint_nanos__gte=0, checkpoint_nanos__lte=F("amount_nanos")),
                name="checkpoint_within_hold",
            ),
        ]
        # for the sweeper alone. The predicate is not state = 'open' on purpose: settle's own condition would imply it,
        # and a planner that believes the table empty would walk this index in place of probing the primary key.
        indexes = [models.Index(fields=["boot_id"], condition=Q(closed_at__isnull=True), name="hold_open")]

    def __str__(self) -> str:
        return f"{self.state} {self.id}"


class Price(models.Model):
    """What a model costs from a moment on. Immutable: a change is a new row, and calls keep the row they were admitted with."""

    id = models.AutoField(primary_key=True)
    sku = models.TextField(db_collation="C")  # the model's id
    effective_at = models.DateTimeField()
    rates = models.JSONField()  # what customers pay: see billing/pricing.py
    cost = models.JSONField(null=True)  # what the upstream charges us, same shape
    source = models.TextField(blank=True)
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "price"
        indexes = [models.Index(fields=["sku", "effective_at"], name="price_by_sku")]

    def __str__(self) -> str:
        return f"{self.sku} from {self.effective_at:%Y-%m-%d}"
