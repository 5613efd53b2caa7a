"""Receipts and monthly statements, as pages and as PDF."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import access
from accounts.powers import Power
from billing import receipt_pdf, receipts, statements


@require_safe
@access.needs(Power.SEE_BILLING)
def index(request: HttpRequest) -> HttpResponse:
    account = access.account_of(request)
    before = request.GET.get("before", "")
    page = receipts.page(account, before)
    context = {
        "paid": page.paid,
        "older": page.older,
        "is_first_page": not before,
        "months": statements.months(account),
    }
    return render(request, "billing/receipts.html", context)


@require_safe
@access.needs(Power.SEE_BILLING)
def receipt(request: HttpRequest, number: str) -> HttpResponse:
    found = receipts.find(access.account_of(request), number)
    return render(request, "billing/receipt.html", {"receipt": found, "shows_local": _shows_local()})


@require_safe
@access.needs(Power.SEE_BILLING)
def receipt_as_pdf(request: HttpRequest, number: str) -> HttpResponse:
    found = receipts.find(access.account_of(request), number)
    return _pdf(receipt_pdf.receipt_pdf(found), f"receipt-{found.number}.pdf")


@require_safe
@access.needs(Power.SEE_BILLING)
def statement(request: HttpRequest, month: str) -> HttpResponse:
    found = statements.find(access.account_of(request), month)
    return render(request, "billing/statement.html", {"statement": found, "shows_local": _shows_local()})


@require_safe
@access.needs(Power.SEE_BILLING)
def statement_as_pdf(request: HttpRequest, month: str) -> HttpResponse:
    found = statements.find(access.account_of(request), month)
    return _pdf(receipt_pdf.statement_pdf(found), f"statement-{found.month.slug}.pdf")


def _pdf(body: bytes, name: str) -> HttpResponse:
    return HttpResponse(
        body, content_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'}
    )


def _shows_local() -> bool:
    """Times are in UTC; beside it in the person's zone, where that is another."""
    return timezone.get_current_timezone_name() != "UTC"
