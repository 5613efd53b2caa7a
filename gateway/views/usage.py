"""What was called and what it cost: charts, the request log, one request, and the export. The address holds every choice."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from accounts import access
from accounts import keys as key_store
from gateway import receipts, request_log, usage, usage_charts, usage_export, usage_sample
from gateway.call_lines import CallLine, lines_of
from gateway.metrics import METRICS
from gateway.receipts import Receipt
from gateway.usage import Group, Report
from gateway.usage_charts import OTHER_COLOUR
from gateway.usage_filters import DIMENSIONS, Scope, UsageFilter
from gateway.usage_periods import RANGES
from gateway.usage_sample import WALK_MAX, Sample
from tokenhub import charts, clock
from tokenhub.charts import Colour
from tokenhub.figures import percent

FORMATS = {
    "csv": ("text/csv; charset=utf-8", usage_export.as_csv),
    "json": ("application/json", usage_export.as_json),
}
#: how a page asks for a piece of itself (static/js/usage.js)
PARTS = {"rows": "usage/_rows.html", "peek": "usage/_peek.html"}


@require_safe
@access.signed_in
def index(request: HttpRequest) -> HttpResponse:
    asked = UsageFilter.read(Scope.of_request(request), request.GET)
    report = usage.report(asked)
    context = _frame(asked) | {"report": report, "is_charts": True}
    if report.is_empty:
        context["was_used"] = usage.has_any(asked.scope.where)
        return render(request, "usage/index.html", context)
    colours = usage_charts.paint(asked, report.groups)
    # of one outcome the sums know the number alone; of all together, no single call
    sample = Sample() if asked.is_by_outcome else usage_sample.read(asked, report)
    costs = usage_sample.costs(asked, report) if asked.is_by_outcome else None
    context |= {
        "title": usage_charts.title(asked),
        "chart": usage_charts.draw(asked, report),
        "buckets": usage_charts.buckets(asked, report),
        "rows": [_row(asked, report, sample, costs, group, colours) for group in report.groups],
        "sample": sample,
        "shows_costs": costs is not None or not asked.is_by_outcome,
        "cost_nanos": report.total.cost_nanos if costs is None else sum(costs.values()),
        "costs_calls_max": WALK_MAX,
        "group_name": DIMENSIONS[asked.by],
        "total_figure": usage_charts.in_words(asked.metric, report.total, sample.whole),
        "spend_change": usage_charts.change(asked, report, "cost_nanos"),
        "calls_change": usage_charts.change(asked, report, "calls"),
    }
    return render(request, "usage/index.html", context)


@require_safe
@access.signed_in
def log(request: HttpRequest) -> HttpResponse:
    """``before`` and ``after`` are cursors; ``peek`` is a call of the log, shown beside it; ``part`` asks for a piece."""
    asked = UsageFilter.read(Scope.of_request(request), request.GET)
    peek = request.GET.get("peek", "")
    part = request.GET.get("part", "")
    place = {name: request.GET[name] for name in ("before", "after") if request.GET.get(name)}
    if part == "peek":
        return render(request, PARTS[part], _frame(asked) | {"peek": _line(asked, peek), "here": urlencode(place)})
    page = request_log.page(asked, before=place.get("before", ""), after=place.get("after", ""))
    context = _frame(asked) | {
        "lines": lines_of(asked.scope, page.records),
        "page": page,
        "here": urlencode(place),
        "peek": _line(asked, peek) if peek else None,
    }
    if part == "rows":
        return render(request, PARTS[part], context)
    context["count"] = request_log.count(asked)
    context["is_live"] = not place and asked.period.end > clock.now()
    if not page.records and not context["count"]:
        context["was_used"] = usage.has_any(asked.scope.where)
    return render(request, "usage/requests.html", context)


def _line(asked: UsageFilter, generation_id: str) -> CallLine:
    return lines_of(asked.scope, [request_log.find(asked.scope, generation_id)])[0]


@require_safe
@access.signed_in
def call(request: HttpRequest, generation_id: str) -> HttpResponse:
    scope = Scope.of_request(request)
    record = request_log.find(scope, generation_id)
    line = lines_of(scope, [record])[0]
    curl = receipts.curl(record, line.model.slug) if line.model else ""
    return render(
        request, "usage/request.html", {"receipt": Receipt.of(record), "line": line, "call": record, "curl": curl}
    )


@require_safe
def export(request: HttpRequest) -> HttpResponseBase:
    """For the signed-in person, or for whoever has an API key: the same addresses serve people and scripts."""
    authorization = request.headers.get("authorization", "")
    if authorization.startswith("Bearer "):
        key = key_store.find(authorization.removeprefix("Bearer ").strip())
        if key is None:
            return JsonResponse({"error": {"code": "invalid_api_key"}}, status=401)
        return _exported(request, Scope.of_key(key))
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    return _exported(request, Scope.of_request(request))


def _exported(request: HttpRequest, scope: Scope) -> HttpResponseBase:
    asked = UsageFilter.read(scope, request.GET)
    wanted = request.GET.get("format", "csv")
    if wanted not in FORMATS or asked.problems:
        raise Http404
    content_type, write = FORMATS[wanted]
    name = f"usage-{asked.period.start:%Y%m%d%H}-{asked.period.end:%Y%m%d%H}.{wanted}"
    response = StreamingHttpResponse(
        usage_export.streamed(write(asked)),
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )
    patch_vary_headers(response, ["Cookie", "Authorization"])
    return response


def _frame(asked: UsageFilter) -> dict[str, Any]:
    """What every usage page shows around its figures."""
    exact = asked.in_period(asked.period)  # instants mean the same in every zone
    export_url = reverse("usage_export")
    return {
        "asked": asked,
        "query": asked.query(),
        "ranges": _ranges(asked),
        "range": asked.range_query.get("range") or asked.period.name,
        "metrics": METRICS.values(),
        "dimensions": [{"name": name, "label": label, "choices": asked.choices(name)} for name, label in DIMENSIONS.items()],
        "now": clock.now(),
        "zone": timezone.get_current_timezone_name(),
        "csv_url": f"{export_url}?{exact}&format=csv",
        "json_url": f"{export_url}?{exact}&format=json",
        "api_call": f'curl "{settings.PUBLIC_URL}{export_url}?{exact}&format=json" -H "Authorization: Bearer $TOKENHUB_API_KEY"',
    }  # fmt: skip


def _ranges(asked: UsageFilter) -> list[dict[str, Any]]:
    """Links; that to the custom range begins with the days shown now."""
    first, last = asked.period.days
    days = {"from_": first.isoformat(), "to": last.isoformat()}
    return [
        {"name": name, "label": label, "query": asked.query(range=name, **(days if name == "custom" else {"from_": "", "to": ""}))}
        for name, label in RANGES.items()
    ]  # fmt: skip


def _row(
    asked: UsageFilter,
    report: Report,
    sample: Sample,
    costs: dict[str, int] | None,
    group: Group,
    colours: dict[str, Colour],
) -> dict[str, Any]:
    """A line of the table of totals. Shares are of what adds up: of the calls, where the metric does not."""
    field = asked.metric.field if asked.metric.is_sum else "calls"
    part, whole = getattr(group.sums, field), getattr(report.total, field)
    return {
        "group": group,
        "colour": colours.get(group.value, OTHER_COLOUR),
        "query": asked.narrowed(asked.by, group.value) if group.value else "",
        "figure": usage_charts.in_words(asked.metric, group.sums, sample.of(group.value)),
        "cost_nanos": group.sums.cost_nanos if costs is None else costs.get(group.value, 0),
        "share": percent(part, whole),
        "share_bar": charts.bar(part, whole, tone="share"),
    }
