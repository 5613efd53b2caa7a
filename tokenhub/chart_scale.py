"""What a chart's numbers mean, and where they stand: units and axes. Pure arithmetic."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from math import ceil

from tokenhub.figures import number, tokens, usd
from tokenhub.money import NANOS_PER_USD

STEPS_AT_MOST = 4


@dataclass(frozen=True)
class Unit:
    """``words`` is a value in the table: exact. ``short`` is a tick of the axis, given its value and the axis' step.

    ``brief_words`` is a sum in the legend (None: as in the table). ``adds_up``: buckets can be summed; durations and rates cannot. ``least_step``: no tick is finer than this.
    """

    words: Callable[[int], str]
    short: Callable[[int, int], str]
    adds_up: bool = True
    least_step: int = 1
    brief_words: Callable[[int], str] | None = None

    def brief(self, value: int) -> str:
        return (self.brief_words or self.words)(value)


def _dollars(nanos: int, step: int) -> str:
    """A tick: ``$2``; ``$0.50`` beside ``$1.00``."""
    return usd(nanos) if step % NANOS_PER_USD else usd(nanos).removesuffix(".00")


def _cents(nanos: int) -> str:
    """In whole cents, unless there would be none left to see."""
    return usd(nanos, "cents" if nanos >= NANOS_PER_USD // 100 else "exact")


def _milliseconds(value: int) -> str:
    return f"{number(value)} ms" if value < 1_000 else f"{Decimal(value).scaleb(-3).normalize():f} s"


MONEY = Unit(words=usd, short=_dollars, brief_words=_cents)  # nano-USD
COUNT = Unit(words=number, short=lambda value, _step: number(value))
TOKENS = Unit(words=number, short=lambda value, _step: tokens(value))
MILLISECONDS = Unit(words=_milliseconds, short=lambda value, _step: _milliseconds(value), adds_up=False)
PER_MILLE = Unit(  # thousandths, read as per cent
    words=lambda value: f"{Decimal(value).scaleb(-1):f} %",
    short=lambda value, _step: f"{value // 10} %",
    adds_up=False,
    least_step=10,
)
PER_SECOND = Unit(words=lambda value: f"{number(value)} /s", short=lambda value, _step: number(value), adds_up=False)


@dataclass(frozen=True)
class Scale:
    """From zero to a round value that holds every other."""

    top: int
    step: int
    unit: Unit

    @classmethod
    def to(cls, highest: int, unit: Unit) -> "Scale":
        """The finest of 1, 2, 2.5, 5 × a power of ten that reaches ``highest`` in at most four steps."""
        magnitude = 1
        while True:
            for tenths in (10, 20, 25, 50):
                step = magnitude * tenths // 10
                exact = magnitude * tenths % 10 == 0
                if exact and step >= unit.least_step and step * STEPS_AT_MOST >= highest:
                    return cls(step * max(ceil(highest / step), 1), step, unit)
            magnitude *= 10

    def y(self, value: int) -> float:
        """Per cent from the top; a value below zero, which no axis here has, lies on it."""
        return 100 - 100 * max(value, 0) / self.top

    def ticks(self) -> list[tuple[float, str]]:
        """Per cent of the height and words, zero first."""
        return [
            (100 * value / self.top, self.unit.short(value, self.step)) for value in range(0, self.top + 1, self.step)
        ]
