"""Every movement of the team's wallet, as a page and as CSV. The address holds every choice."""

from typing import cast

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import access
from accounts.powers import Power
from gateway import ledger_export, ledger_lines
from gateway.ledger_filter import SHOWS, LedgerFilter
from gateway.usage_export import streamed
from gateway.usage_filters import Scope
from tokenhub import clock


@require_safe
@access.needs(Power.SEE_BILLING)
def index(request: HttpRequest) -> HttpResponse:
    """``before`` and ``after`` are cursors."""
    asked = LedgerFilter.read(Scope.of_request(request), request.GET)
    before, after = request.GET.get("before", ""), request.GET.get("after", "")
    context = {
        "asked": asked,
        "shows": [{"name": name, "label": label, "query": asked.query(show=name)} for name, label in SHOWS.items()],
        "query": asked.query(),
        "now": clock.now(),
        "zone": timezone.get_current_timezone_name(),
    }
    if asked.is_holds:
        return render(request, "billing/ledger_holds.html", context | {"holds": ledger_lines.holds(asked.scope)})
    page = ledger_lines.page(asked, before=before, after=after)
    return render(request, "billing/ledger.html", context | {"page": page})


@require_safe
@access.needs(Power.SEE_BILLING)
def export(request: HttpRequest) -> HttpResponse:
    """All lines of the same filter."""
    asked = LedgerFilter.read(Scope.of_request(request), request.GET)
    if asked.problems:
        raise Http404
    name = f"ledger-{asked.scope.account.slug}-{clock.now():%Y%m%d}.csv"
    response = StreamingHttpResponse(
        streamed(ledger_export.as_csv(asked)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    return cast("HttpResponse", response)  # a view's type knows no streams
