"""What the usage pages measure: sums of calls, and what follows from two sums. Pure arithmetic in ints, and the words."""

from dataclasses import dataclass, fields
from operator import add, attrgetter

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

PER_MILLE = 1_000


@dataclass(frozen=True, slots=True)
class Sums:
    """Of some calls; the names are UsageHour's."""

    calls: int = 0
    errors: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    duration_ms: int = 0
    first_byte_calls: int = 0
    first_byte_ms: int = 0
    cost_nanos: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*map(add, _all(self), _all(other)))

    @property
    def first_byte_mean_ms(self) -> int | None:
        """Over the calls that had one."""
        return self.first_byte_ms // self.first_byte_calls if self.first_byte_calls else None

    @property
    def tokens_per_second(self) -> int | None:
        """Output over whole calls, the wait for the first token included."""
        return self.output_tokens * 1_000 // self.duration_ms if self.duration_ms else None

    @property
    def error_rate(self) -> int | None:
        """In thousandths, rounded up: one failure among many must not read as none."""
        return -(-self.errors * PER_MILLE // self.calls) if self.calls else None

    @property
    def answered(self) -> int:
        return self.calls - self.errors


#: dataclasses.astuple() copies deeply; pages add thousands
_all = attrgetter(*(column.name for column in fields(Sums)))


@dataclass(frozen=True, slots=True)
class Metric:
    """``field``: of ``Sums``. ``unit`` as the charts name it. Only sums can be stacked; means and rates stand alone.

    A ``percentile`` does not follow from sums: its figures are those of gateway/usage_sample.py, and over time ``field``,
    which is the mean, is drawn under its own name, ``drawn_as``.
    """

    slug: str
    name: str | Promise
    field: str
    unit: str  # usd (nanos), count, tokens, ms, per_second, per_mille
    is_sum: bool = True
    percentile: int = 0
    drawn_as: str | Promise = ""

    @property
    def title(self) -> str:
        return str(self.drawn_as or self.name)

    def of(self, sums: Sums) -> int | None:
        value: int | None = getattr(sums, self.field)
        return value


MEAN = _("First token, mean")
METRICS = {
    metric.slug: metric
    for metric in (
        Metric("spend", _("Spend"), "cost_nanos", "usd"),
        Metric("requests", _("Requests"), "calls", "count"),
        Metric("tokens_in", _("Tokens in"), "input_tokens", "tokens"),
        Metric("tokens_out", _("Tokens out"), "output_tokens", "tokens"),
        Metric("tokens_cached", _("Tokens read from cache"), "cached_input_tokens", "tokens"),
        Metric("tokens_reasoning", _("Reasoning tokens"), "reasoning_tokens", "tokens"),
        Metric("first_token", MEAN, "first_byte_mean_ms", "ms", is_sum=False),
        Metric("first_token_p50", _("First token, p50"), "first_byte_mean_ms", "ms", False, 50, drawn_as=MEAN),
        Metric("first_token_p95", _("First token, p95"), "first_byte_mean_ms", "ms", False, 95, drawn_as=MEAN),
        Metric("speed", _("Tokens per second"), "tokens_per_second", "per_second", is_sum=False),
        Metric("errors", _("Error rate"), "error_rate", "per_mille", is_sum=False),
    )
}
