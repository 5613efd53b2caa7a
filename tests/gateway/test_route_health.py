"""When a route goes behind the others, and how much a failing one is asked again. Time is given: nothing waits."""

import random

from gateway.route_health import PROBE_SECONDS, RouteHealth


def failing(route: RouteHealth, now: float, times: int) -> None:
    for _ in range(times):
        route.note_failure(now)


def answering(route: RouteHealth, now: float, times: int) -> None:
    for _ in range(times):
        route.note_answer(now, 0.1, 50.0)


def test_a_new_route_is_fit() -> None:
    assert RouteHealth().is_fit(0.0)


def test_half_of_twenty_calls_failed_and_it_goes_last() -> None:
    route = RouteHealth()
    for _ in range(9):
        answering(route, 1.0, 1)
        failing(route, 1.0, 1)
    answering(route, 1.0, 1)
    assert route.is_fit(1.0)
    failing(route, 1.0, 1)
    assert not route.is_fit(1.0)


def test_fewer_than_half_is_borne() -> None:
    route = RouteHealth()
    for _ in range(50):
        answering(route, 1.0, 2)
        failing(route, 1.0, 1)
    assert route.is_fit(1.0)


def test_five_failures_in_a_row_are_enough_where_there_is_little_traffic() -> None:
    route = RouteHealth()
    failing(route, 1.0, 4)
    assert route.is_fit(1.0)
    answering(route, 2.0, 1)
    failing(route, 3.0, 4)
    assert route.is_fit(3.0)
    failing(route, 60.0, 1)
    assert not route.is_fit(60.0)


def test_failures_of_more_than_ten_seconds_ago_do_not_count() -> None:
    route = RouteHealth()
    for second in range(4):
        failing(route, second, 4)
        answering(route, second, 1)
    answering(route, 20.0, 1)
    failing(route, 20.0, 4)
    answering(route, 20.0, 1)
    assert route.is_fit(20.0)


def test_one_call_in_ten_seconds_probes_a_failing_route() -> None:
    route = RouteHealth()
    failing(route, 0.0, 5)
    assert not route.is_fit(PROBE_SECONDS - 0.1)
    assert [route.is_fit(PROBE_SECONDS) for _ in range(3)] == [True, False, False]
    failing(route, PROBE_SECONDS + 1, 1)
    assert not route.is_fit(2 * PROBE_SECONDS - 0.1) and route.is_fit(2 * PROBE_SECONDS)


def test_a_probe_that_is_answered_makes_it_fit_at_once() -> None:
    route = RouteHealth()
    failing(route, 0.0, 30)
    assert route.is_fit(PROBE_SECONDS)
    answering(route, PROBE_SECONDS, 1)
    assert route.is_fit(PROBE_SECONDS)
    failing(route, PROBE_SECONDS, 1)
    assert route.is_fit(PROBE_SECONDS)


def test_a_route_rests_for_as_long_as_its_vendor_asked() -> None:
    route = RouteHealth()
    route.rest(0.0, 30)
    route.rest(1.0, 1)
    assert not route.is_fit(29.9) and route.is_fit(30.0)


def test_no_ten_seconds_hold_more_than_a_tenth_of_retries() -> None:
    route, dice = RouteHealth(), random.Random(7)
    events: list[tuple[float, bool]] = []
    now = 0.0
    for _ in range(4_000):
        now += dice.choice((0.001, 0.01, 0.3, 3.0))
        route.note_request(now)
        events.append((now, False))
        if route.may_retry(now):
            events.append((now, True))
    assert any(is_retry for _, is_retry in events)
    for at, is_retry in events:
        if is_retry:  # the window that ends with a retry is the fullest
            window = [retry for when, retry in events if int(at) - 10 < int(when) and when <= at]
            assert sum(window) * 10 <= len(window) - sum(window)


def test_averages_follow_the_newest_calls() -> None:
    route = RouteHealth()
    assert route.first_byte_seconds is None and route.tokens_per_second is None
    route.note_answer(0.0, 1.0, None)
    route.note_answer(0.0, 2.0, 40.0)
    assert route.first_byte_seconds is not None and 1.0 < route.first_byte_seconds < 2.0
    assert route.tokens_per_second == 40.0
