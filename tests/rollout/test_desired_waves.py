"""Which accounts each wave has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from builders.rollout.config.desired_state import configured_waves
from builders.rollout.config.loading import wave_mistakes
from builders.rollout.config.schema import WaveConfig
from builders.rollout.model import Wave

ACCOUNTS = [f"{number:012d}" for number in range(10)]


def plans(*waves: dict[str, Any]) -> list[WaveConfig]:
    return [WaveConfig.model_validate({"name": f"wave {number}", **wave}) for number, wave in enumerate(waves)]


@st.composite
def phases(draw: st.DrawFn) -> tuple[list[WaveConfig], list[str]]:
    """Waves without mistakes, and the accounts of a phase."""
    accounts = draw(st.lists(st.integers(0, 10**12 - 1).map("{:012d}".format), unique=True, max_size=30))
    named = draw(st.lists(st.sampled_from(accounts), unique=True)) if accounts else []
    waves: list[dict[str, Any]] = []
    while named:
        taken = draw(st.integers(1, len(named)))
        waves.append({"accounts": named[:taken]})
        named = named[taken:]
    shares = st.fixed_dictionaries({"percent": st.integers(1, 100)}) | st.fixed_dictionaries(
        {"count": st.integers(1, 9)}
    )
    waves = draw(st.permutations([*waves, *draw(st.lists(shares, max_size=4))]))
    return plans(*waves, {"rest": True}), accounts


@given(phases())
def test_every_account_is_in_exactly_one_wave(phase: tuple[list[WaveConfig], list[str]]) -> None:
    waves, accounts = phase
    assert list(wave_mistakes(waves, accounts)) == []
    assert sorted(account for wave in configured_waves(waves, accounts) for account in wave.accounts) == sorted(
        accounts
    )


@given(phases())
def test_the_accounts_that_a_wave_names_are_its_own(phase: tuple[list[WaveConfig], list[str]]) -> None:
    waves, accounts = phase
    by_name = {wave.name: set(wave.accounts) for wave in configured_waves(waves, accounts)}
    assert all(by_name[plan.name] == set(plan.accounts) for plan in waves if plan.accounts)


@given(phases())
def test_a_wave_keeps_the_order_of_the_phase_and_none_is_empty(phase: tuple[list[WaveConfig], list[str]]) -> None:
    waves, accounts = phase
    for wave in configured_waves(waves, accounts):
        assert wave.accounts
        assert list(wave.accounts) == [account for account in accounts if account in wave.accounts]


@pytest.mark.parametrize(
    ("waves", "sizes"),
    [
        ([{"rest": True}], [10]),
        ([{"count": 3}, {"rest": True}], [3, 7]),
        ([{"percent": 50}, {"rest": True}], [5, 5]),
        ([{"percent": 1}, {"rest": True}], [1, 9]),
        ([{"accounts": ACCOUNTS[:1]}, {"percent": 50}, {"rest": True}], [1, 5, 4]),
        ([{"percent": 50}, {"percent": 50}, {"rest": True}], [5, 3, 2]),
        ([{"percent": 50}, {"accounts": ACCOUNTS[:2]}, {"rest": True}], [4, 2, 4]),
        ([{"count": 99}, {"rest": True}], [10]),
    ],
)
def test_percent_and_count_take_of_what_is_left_rounded_up(waves: list[dict[str, Any]], sizes: list[int]) -> None:
    assert [len(wave.accounts) for wave in configured_waves(plans(*waves), ACCOUNTS)] == sizes


def test_a_wave_carries_what_must_hold_before_the_next() -> None:
    (plan,) = plans({"rest": True, "bake": "10m", "quiet_alarms": ["payments-"]})
    assert configured_waves([plan], ACCOUNTS[:1]) == (Wave("wave 0", (ACCOUNTS[0],), 600, ("payments-",)),)
