"""The first page of a working day."""

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_safe

from accounts import access
from accounts.models import ApiKey
from accounts.powers import Power
from billing import ledger
from gateway import dashboard as figures
from gateway import request_log, usage
from gateway.call_lines import lines_of
from gateway.dashboard import RUNWAY_DAYS_SHOWN, Overview
from gateway.first_steps import first_steps
from gateway.usage_charts import OTHER_COLOUR
from gateway.usage_filters import Scope, UsageFilter
from tokenhub import charts, clock

CALLS_SHOWN = 8


@require_safe
@access.signed_in
def dashboard(request: HttpRequest) -> HttpResponse:
    scope, now, zone = Scope.of_request(request), clock.now(), timezone.get_current_timezone()
    overview = Overview.read(scope, zone, now)
    asked = UsageFilter.read(scope, QueryDict("range=30d"), zone)
    context: dict[str, Any] = {
        "overview": overview,
        "steps": (steps := first_steps(scope.account)),
        "is_new": not all(step.is_done for step in steps),
        "limits": figures.nearest_limits(_limited_keys(request), now),
        "spent_today": figures.short_usd(overview.today.cost_nanos),
        "usual": "" if overview.usual_nanos is None else figures.short_usd(overview.usual_nanos),
        "now": now,
        "zone": timezone.get_current_timezone_name(),
        "month_query": asked.query(),
    }
    if access.may(request, Power.SEE_BILLING):
        context |= _balance(request, overview)
    if not overview.total.calls:
        context["was_used"] = usage.has_any(scope.where)
        return render(request, "dashboard/dashboard.html", context)
    context |= {
        "lines": lines_of(scope, request_log.page(asked, rows=CALLS_SHOWN).records),
        "spend_chart": _spend_chart(scope, overview),
        "calls_chart": _calls_chart(overview),
        "sparks": {
            "spend": charts.sparkline([day.cost_nanos for day in overview.days]),
            "calls": charts.sparkline([day.calls for day in overview.days]),
            "errors": charts.sparkline([day.error_rate for day in overview.days]),
            "first": charts.sparkline([day.first_byte_mean_ms for day in overview.days]),
        },
    }
    return render(request, "dashboard/dashboard.html", context)


def _balance(request: HttpRequest, overview: Overview) -> dict[str, Any]:
    wallet = ledger.wallet(access.account_of(request).pk)
    days = overview.runway_days(wallet.available_nanos)
    return {
        "sees_balance": True,
        "wallet": wallet,
        "runway_days": days,
        "rate": figures.short_usd(overview.rate_nanos),
        "runway_x": f"{min(days or 0, RUNWAY_DAYS_SHOWN) * 100 / RUNWAY_DAYS_SHOWN:.2f}%",
        "ruler": [f"{mark * 100 / RUNWAY_DAYS_SHOWN:.2f}%" for mark in range(RUNWAY_DAYS_SHOWN + 1)],
    }


def _limited_keys(request: HttpRequest) -> list[ApiKey]:
    """Live keys with a limit; one's own for whoever may not see the team's."""
    keys = ApiKey.objects.filter(account=access.account_of(request), revoked_at=None, limit_nanos__isnull=False)
    if not access.may(request, Power.SEE_TEAM_KEYS):
        keys = keys.filter(created_by=access.user_of(request))
    return list(keys)


def _spend_chart(scope: Scope, overview: Overview) -> SafeString:
    names = {model: scope.models[model].name if model in scope.models else str(model) for model in overview.leaders}
    colours = charts.colours(names.values())
    series = [
        charts.Series(name, [day.cost_nanos for day in overview.models[model]], colours[name])
        for model, name in names.items()
    ]
    if overview.others_count:
        name = ngettext("Other (%(n)d)", "Other (%(n)d)", overview.others_count) % {"n": overview.others_count}
        series.append(charts.Series(name, [day.cost_nanos for day in overview.others()], OTHER_COLOUR))
    spent = [day.cost_nanos for day in overview.days]
    summary = gettext("Spend per day by model, %(period)s: %(total)s in all, highest %(most)s on %(day)s.") % {
        "period": overview.period.words,
        "total": charts.MONEY.words(sum(spent)),
        "most": charts.MONEY.words(max(spent)),
        "day": overview.period.labels[spent.index(max(spent))],
    }
    return charts.stacked_bars(
        series,
        overview.period.labels,
        summary=summary,
        unit=charts.MONEY,
        bucket=gettext("Day"),
        height=320,
        crops=True,
    )


def _calls_chart(overview: Overview) -> SafeString:
    summary = gettext("Requests per day: %(calls)s in all, of which %(errors)s failed.") % {
        "calls": charts.COUNT.words(overview.total.calls),
        "errors": charts.COUNT.words(overview.total.errors),
    }
    series = [
        charts.Series(gettext("Failed"), [day.errors for day in overview.days], "bad"),
        charts.Series(gettext("Answered"), [day.answered for day in overview.days], "ink"),
    ]
    return charts.stacked_bars(
        series,
        overview.period.labels,
        summary=summary,
        bucket=gettext("Day"),
        height=96,
        crops=True,
    )
