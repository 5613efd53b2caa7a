"""Which rows operators see, and what they may do on each."""

import uuid
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from accounts.usd_field import UsdField
from billing.admin import acts
from billing.admin.promo_codes import PromoCodesPage
from billing.admin.rows import Act, ReadOnly, ReasonForm, RowsPage, dollars
from billing.models import (
    BillingProfile,
    Clawback,
    CreditGrant,
    CreditLot,
    Discrepancy,
    Dispute,
    Hold,
    LedgerAccount,
    PromoCode,
    Refund,
    StripeEvent,
    TopUp,
    Transfer,
)


class AmountForm(ReasonForm):
    amount_nanos = UsdField(label=_("amount in dollars"))
    field_order = ("amount_nanos", "reason")


class GrantForm(AmountForm):
    grant_id = forms.UUIDField(initial=uuid.uuid4, widget=forms.HiddenInput)  # pressing twice is one grant


class RefundForm(AmountForm):
    request_key = forms.UUIDField(initial=uuid.uuid4, widget=forms.HiddenInput)  # pressing twice is one refund


def freeze_reason_of(account: Account) -> str:
    return BillingProfile.objects.filter(account=account).values_list("freeze_reason", flat=True).first() or ""


class AccountsPage(RowsPage):
    list_display = ("slug", "name", "created_at")
    search_fields = ("slug__exact", "members__email__exact")
    search_help_text = _("The account’s slug, or the whole e-mail address of a member")
    ordering = ("-id",)
    fields = ("slug", "name", "created_at", "people", "wallet", "freeze_reason")
    acts = (
        Act("give-credit", _("Give credit"), acts.give_credit, GrantForm),
        Act("freeze", _("Freeze"), acts.freeze, is_offered=lambda account: not freeze_reason_of(account)),
        Act("unfreeze", _("Unfreeze"), acts.thaw, is_offered=lambda account: bool(freeze_reason_of(account))),
    )

    def people(self, account: Account) -> str:
        return ", ".join(account.members.order_by("email").values_list("email", flat=True))

    def wallet(self, account: Account) -> SafeString:
        wallet = LedgerAccount.objects.get(customer_id=account.pk, kind=LedgerAccount.Kind.WALLET)
        address = reverse("admin:billing_ledgeraccount_change", args=[wallet.pk])
        state = _("frozen") if wallet.frozen else _("open")
        return format_html('<a href="{}">{}</a> {}', address, dollars("available_nanos", "")(wallet), state)

    def freeze_reason(self, account: Account) -> str:
        return freeze_reason_of(account) or "–"


class OfOrder(ReadOnly, admin.TabularInline):
    extra = 0
    can_delete = False
    show_change_link = True


class RefundsOfOrder(OfOrder):
    model = Refund
    fields: ClassVar[Any] = (
        "created_at", "status", "origin", dollars("credit_nanos", _("credit")), "cash_cents", "reason", "stripe_id",
    )  # fmt: skip
    readonly_fields: ClassVar[Any] = fields


class DisputesOfOrder(OfOrder):
    model = Dispute
    fields = readonly_fields = ("id", "created_at", "status", "cash_cents", "has_withdrawn", "closed_at")


class ClawbacksOfOrder(OfOrder):
    model = Clawback
    fields: ClassVar[Any] = (
        "key", dollars("wallet_nanos", _("from the wallet")), dollars("receivable_nanos", _("as a debt")), "returned_at",
    )  # fmt: skip
    readonly_fields: ClassVar[Any] = fields


class OrdersPage(RowsPage):
    list_display = (
        "slug",
        "account",
        dollars("credit_nanos", _("credit")),
        "status",
        "origin",
        "is_test",
        "created_at",
    )
    list_filter = ("status", "origin", "is_test")
    list_select_related = ("account",)
    search_fields = (
        "slug__exact", "account__slug__exact", "user__email__exact", "session_id__exact", "payment_intent_id__exact",
    )  # fmt: skip
    search_help_text = _("Order, account, whole e-mail address, or Stripe’s id")
    ordering = ("-created_at",)
    inlines = (RefundsOfOrder, DisputesOfOrder, ClawbacksOfOrder)
    acts = (
        Act("look-again", _("Look again at Stripe"), acts.look_again),
        Act("refund", _("Refund…"), acts.refund, RefundForm, is_offered=lambda order: order.credited_at is not None),
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_fields(request, obj), "events"]

    @admin.display(description=_("Stripe’s events"))
    def events(self, order: TopUp) -> SafeString | str:
        # refunds and disputes have ids and events of their own
        ids = [order.session_id, order.payment_intent_id, *order.refunds.values_list("stripe_id", flat=True)]
        ids += order.disputes.values_list("id", flat=True)
        found: QuerySet[StripeEvent] = StripeEvent.objects.filter(object_id__in=[one for one in ids if one])
        lines = (
            (
                reverse("admin:billing_stripeevent_change", args=[quote(event.pk)]),
                event.type,
                event.get_outcome_display(),
            )
            for event in found.order_by("received_at")[:50]
        )
        return format_html_join(", ", '<a href="{}">{}</a> ({})', lines) or "–"


class StripeEventsPage(RowsPage):
    list_display = ("id", "type", "outcome", "attempts", "livemode", "received_at")
    list_filter = ("outcome", "livemode")
    search_fields = ("id__exact", "object_id__exact")
    ordering = ("-received_at",)
    acts = (
        Act("work-again", _("Work again"), acts.work_again, is_offered=lambda event: event.outcome != ""),
    )  # fmt: skip


class RefundsPage(RowsPage):
    list_display = (
        "id",
        "top_up",
        dollars("credit_nanos", _("credit")),
        "cash_cents",
        "status",
        "origin",
        "created_at",
    )
    list_filter = ("status", "origin")
    list_select_related = ("top_up",)
    search_fields = ("stripe_id__exact", "top_up__slug__exact")
    ordering = ("-created_at",)


class DisputesPage(RowsPage):
    list_display = ("id", "top_up", "cash_cents", "status", "has_withdrawn", "evidence_due_at", "closed_at")
    list_filter = ("has_withdrawn",)
    list_select_related = ("top_up",)
    search_fields = ("id__exact", "top_up__slug__exact")
    ordering = ("-created_at",)


class DiscrepanciesPage(RowsPage):
    list_display = ("kind", "reference", "expected_cents", "found_cents", "last_seen_at", "resolved_at")
    list_filter = (("resolved_at", admin.EmptyFieldListFilter),)
    search_fields = ("reference__exact",)
    ordering = ("-id",)
    acts = (
        Act("resolved", _("Mark as resolved"), acts.resolve, is_offered=lambda row: row.resolved_at is None),
    )  # fmt: skip


class LedgerAccountsPage(RowsPage):
    list_display = (
        "id", "customer_id", "kind", dollars("posted_nanos", _("posted")), dollars("held_nanos", _("held")), "frozen",
    )  # fmt: skip
    list_filter = ("kind", "frozen")
    search_fields = ("customer_id__exact",)
    ordering = ("-id",)


class TransfersPage(RowsPage):
    list_display = (
        "idempotency_key",
        "kind",
        "debit_id",
        "credit_id",
        dollars("amount_nanos", _("amount")),
        "created_at",
    )
    search_fields = ("idempotency_key__exact", "debit_id__exact", "credit_id__exact")
    ordering = ("-idempotency_key",)  # the only order that has an index


class HoldsPage(RowsPage):
    list_display = (
        "id", "state", "wallet_id", dollars("amount_nanos", _("amount")), dollars("captured_nanos", _("captured")), "created_at",
    )  # fmt: skip
    search_fields = ("id__exact",)
    ordering = ("-id",)


class GrantsPage(RowsPage):
    list_display = ("id", "customer_id", dollars("amount_nanos", _("amount")), "reason", "granted_by", "created_at")
    search_fields = ("id__exact", "customer_id__exact")
    ordering = ("-created_at",)


class LotsPage(RowsPage):
    list_display = (
        "source", "customer_id", "kind", dollars("amount_nanos", _("amount")), dollars("left_nanos", _("left")), "expires_at",
    )  # fmt: skip
    list_filter = ("kind",)
    search_fields = ("source__exact", "customer_id__exact")
    ordering = ("-id",)


class ClawbacksPage(RowsPage):
    list_display = (
        "key", "kind", "top_up", dollars("wallet_nanos", _("from the wallet")), dollars("receivable_nanos", _("as a debt")),
        "created_at", "returned_at",
    )  # fmt: skip
    list_filter = ("kind",)
    list_select_related = ("top_up",)
    search_fields = ("key__exact", "top_up__slug__exact")
    ordering = ("-created_at",)


PAGES: dict[Any, type[RowsPage]] = {
    Account: AccountsPage,
    TopUp: OrdersPage,
    StripeEvent: StripeEventsPage,
    Refund: RefundsPage,
    Dispute: DisputesPage,
    Discrepancy: DiscrepanciesPage,
    LedgerAccount: LedgerAccountsPage,
    Transfer: TransfersPage,
    Hold: HoldsPage,
    CreditGrant: GrantsPage,
    CreditLot: LotsPage,
    Clawback: ClawbacksPage,
    PromoCode: PromoCodesPage,
}
