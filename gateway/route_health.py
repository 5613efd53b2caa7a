"""How each route has been doing, from live traffic, in this process's memory: it orders routes and never refuses a call.

A route whose calls fail goes behind those that work, and is probed once in a while. A call that has nowhere else to go is still
sent: what one customer's calls make a vendor answer must not close a model for the others.
"""

from dataclasses import dataclass, field

WINDOW_SECONDS = 10
#: a route is failing when at least half of at least this many calls failed within the window …
CALLS_LEAST = 20
#: … or this many in a row
FAILURES_IN_A_ROW = 5
PROBE_SECONDS = 10.0
#: one of so many requests may be tried again on the route that just failed it
REQUESTS_PER_RETRY = 10
#: how much the newest call weighs in a route's averages
NEWEST_SHARE = 0.2


class Window:
    """Two counters over the last ten seconds, a second each."""

    def __init__(self) -> None:
        self._seconds = [-1] * WINDOW_SECONDS
        self._first = [0] * WINDOW_SECONDS
        self._second = [0] * WINDOW_SECONDS

    def add(self, now: float, first: int, second: int) -> None:
        second_of_time = int(now)
        slot = second_of_time % WINDOW_SECONDS
        if self._seconds[slot] != second_of_time:
            self._seconds[slot], self._first[slot], self._second[slot] = second_of_time, 0, 0
        self._first[slot] += first
        self._second[slot] += second

    def sums(self, now: float) -> tuple[int, int]:
        oldest = int(now) - WINDOW_SECONDS
        live = [slot for slot in range(WINDOW_SECONDS) if self._seconds[slot] > oldest]
        return sum(self._first[slot] for slot in live), sum(self._second[slot] for slot in live)


@dataclass(slots=True)
class RouteHealth:
    """One route. Times are ``time.monotonic`` seconds."""

    _calls: Window = field(default_factory=Window)  # calls, failures
    _retries: Window = field(default_factory=Window)  # requests, retries
    _failures_in_a_row: int = 0
    _is_open: bool = False
    _probe_at: float = 0.0
    _rests_until: float = 0.0
    #: averages of answered calls; None before the first
    first_byte_seconds: float | None = None
    tokens_per_second: float | None = None

    def is_fit(self, now: float) -> bool:
        """Whether it may be tried before others. True once in a while for a failing route: the probe."""
        if now < self._rests_until:
            return False
        if self._is_open and now >= self._probe_at:
            self._probe_at = now + PROBE_SECONDS
            return True
        return not self._is_open

    def note_answer(self, now: float, first_byte_seconds: float, tokens_per_second: float | None) -> None:
        self._calls.add(now, 1, 0)
        self._failures_in_a_row = 0
        if self._is_open:  # the probe came back: what failed before says nothing about now
            self._is_open, self._calls = False, Window()
        self.first_byte_seconds = _average(self.first_byte_seconds, first_byte_seconds)
        if tokens_per_second is not None:
            self.tokens_per_second = _average(self.tokens_per_second, tokens_per_second)

    def note_failure(self, now: float) -> None:
        self._calls.add(now, 1, 1)
        self._failures_in_a_row += 1
        calls, failures = self._calls.sums(now)
        is_failing = calls >= CALLS_LEAST and failures * 2 >= calls
        if not self._is_open and (is_failing or self._failures_in_a_row >= FAILURES_IN_A_ROW):
            self._is_open, self._probe_at = True, now + PROBE_SECONDS

    def note_request(self, now: float) -> None:
        self._retries.add(now, 1, 0)

    def may_retry(self, now: float) -> bool:
        """Takes one retry from the budget, if there is one: a vendor that fails everybody must not get more calls for it."""
        requests, retries = self._retries.sums(now)
        if (retries + 1) * REQUESTS_PER_RETRY > requests:
            return False
        self._retries.add(now, 0, 1)
        return True

    def rest(self, now: float, seconds: float) -> None:
        """The vendor asked to be left alone for a while (Retry-After)."""
        self._rests_until = max(self._rests_until, now + seconds)


def _average(average: float | None, newest: float) -> float:
    return newest if average is None else average + NEWEST_SHARE * (newest - average)


class Health:
    """All routes of this process, by upstream and model."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], RouteHealth] = {}

    def of(self, upstream: str, upstream_model: str) -> RouteHealth:
        key = (upstream, upstream_model)
        route = self._routes.get(key)
        if route is None:
            route = self._routes[key] = RouteHealth()
        return route
