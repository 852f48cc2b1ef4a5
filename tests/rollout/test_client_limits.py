"""Calls go on while AWS throttles, as fast as it lets them, and for minutes. On a clock whose time passes at once."""

from __future__ import annotations

import math
import time

import pytest

from builders.aws.calls import ATTEMPTS, Access, concurrently
from builders.aws.errors import Throttled, Transient, Unreachable
from builders.aws.limiter import FIRST, SLOWEST, Api, Limiter
from builders.errors import UsageError

from .simulation import Instantly, Simulation

API = Api("888888888888", "us-east-1", "cloudformation", "ListStackSets")


def limited(calls_per_second: float) -> Simulation:
    return Simulation(API.account, calls_per_second)


def ask(simulation: Simulation, times: int) -> None:
    simulation.account()
    for _ in concurrently(lambda _: simulation.session().ask("cloudformation", "ListStackSets"), range(times)):
        pass


@pytest.fixture
def clock() -> Instantly:
    return Instantly()


@pytest.fixture
def limiter(clock: Instantly) -> Limiter:
    return Limiter(clock.now, clock.wait)


def throttle(limiter: Limiter, times: int = 1) -> None:
    for _ in range(times):
        limiter.throttled(API, limiter.wait(API))


@pytest.mark.parametrize("calls_per_second", [1, 3, 5, 10])
def test_throttled_calls_come_to_their_end_at_nearly_the_rate_that_aws_allows(calls_per_second: int) -> None:
    simulation, times = limited(calls_per_second), 400
    ask(simulation, times)
    assert simulation.counts["cloudformation:ListStackSets"] == times
    assert simulation.clock.time < 1.6 * times / calls_per_second
    assert sum(simulation.throttled.values()) < 0.35 * times


def test_a_rate_is_free_until_the_first_throttle_and_then_as_much_as_was_answered(
    limiter: Limiter, clock: Instantly
) -> None:
    for _ in range(40):
        limiter.wait(API)
        limiter.answered(API)
    assert (clock.time, limiter.rate(API)) == (0, math.inf)
    throttle(limiter)
    assert limiter.rate(API) == pytest.approx(0.7 * 40)


def test_a_rate_grows_by_as_much_each_second_and_falls_by_a_part(limiter: Limiter, clock: Instantly) -> None:
    throttle(limiter)
    rates = []
    for _ in range(3):
        end = clock.time + 10
        while clock.now() < end:
            limiter.wait(API)
            limiter.answered(API)
        rates.append(limiter.rate(API))
    assert rates[1] - rates[0] == pytest.approx(rates[2] - rates[1], rel=0.1)
    throttle(limiter)
    assert limiter.rate(API) == pytest.approx(0.7 * rates[-1])


def test_calls_that_were_under_way_together_lower_the_rate_once(limiter: Limiter) -> None:
    together = [limiter.wait(API) for _ in range(8)]
    limiter.answered(API)
    limiter.sleep(0.1)
    for begun in together:
        limiter.throttled(API, begun)
    assert limiter.rate(API) == pytest.approx(0.7 * FIRST)


def test_a_rate_never_falls_to_nothing(limiter: Limiter) -> None:
    throttle(limiter, 50)
    assert limiter.rate(API) == SLOWEST


@pytest.mark.parametrize(
    "other", [API._replace(account="111111111111"), API._replace(region="eu-west-1"), API._replace(operation="Other")]
)
def test_an_account_region_or_api_is_not_slowed_down_by_another(limiter: Limiter, other: Api) -> None:
    throttle(limiter)
    assert limiter.rate(other) == math.inf


def test_throttling_that_lasts_is_said_by_a_line_a_minute() -> None:
    simulation = limited(3)
    ask(simulation, 400)
    assert 1 <= len(simulation.said) <= simulation.clock.time / 60 + 1
    assert simulation.said[0].startswith("cloudformation throttles ListStackSets in account 888888888888, us-east-1; ")


def test_a_throttle_that_is_over_soon_is_not_said() -> None:
    simulation = limited(3)
    ask(simulation, 5)
    assert simulation.throttled
    assert simulation.said == []


def test_a_call_that_is_throttled_for_minutes_ends_in_one_line() -> None:
    simulation = limited(math.inf)
    simulation.refusals["ListStackSets"] = [Throttled("cloudformation throttles ListStackSets for too long")] * 1000
    with pytest.raises(Unreachable, match=r"^cloudformation throttles ListStackSets for too long$") as given_up:
        simulation.session().ask("cloudformation", "ListStackSets")
    assert type(given_up.value) is Unreachable
    assert Access("us-east-1").throttled_seconds < simulation.clock.time < 1.1 * Access("us-east-1").throttled_seconds


def test_whoever_names_the_attempts_gets_no_more_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    simulation = limited(math.inf)
    simulation.refusals["ListStackSets"] = [Throttled("throttled")] * 1000
    with pytest.raises(Unreachable):
        simulation.session().ask("cloudformation", "ListStackSets")
    assert len(simulation.refusals["ListStackSets"]) == 997


@pytest.mark.parametrize("given", ["three", "-1", "2.5"])
def test_attempts_that_are_not_a_number_are_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", given)
    with pytest.raises(UsageError, match=f"^AWS_MAX_ATTEMPTS is '{given}', and not a number of attempts such as 8$"):
        limited(math.inf).session().ask("cloudformation", "ListStackSets")


def test_attempts_that_are_empty_are_those_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "")
    limited(math.inf).session().ask("cloudformation", "ListStackSets")


def test_errors_that_pass_end_a_call_however_often_it_was_throttled_before() -> None:
    simulation = limited(math.inf)
    throttles = [Throttled("throttled")] * (ATTEMPTS + 1)
    simulation.refusals["ListStackSets"] = [*throttles, *([Transient("broken")] * 1000)]
    with pytest.raises(Unreachable, match=r"^broken$"):
        simulation.session().ask("cloudformation", "ListStackSets")
    assert len(simulation.refusals["ListStackSets"]) == 1000 - ATTEMPTS


def test_whoever_is_interrupted_waits_for_no_throttled_call() -> None:
    """Ctrl-C ends the work beside it, which would be tried for minutes; on the machine's clock."""
    simulation = limited(math.inf)
    simulation.limiter = Limiter()
    simulation.refusals["ListStackSets"] = [Throttled("throttled")] * 1000

    def work(number: int) -> None:
        if not number:
            time.sleep(0.3)
            raise KeyboardInterrupt
        simulation.session().ask("cloudformation", "ListStackSets")

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(concurrently(work, range(4)))
    assert time.monotonic() - begun < 30
