"""Any change after any other, with failures and kills between: in the end the accounts hold what is desired."""

from __future__ import annotations

import contextlib
import itertools

from hypothesis import HealthCheck, Phase as Stage, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from builders.aws import stacks
from builders.cloud.process import Cloud
from builders.errors import RolloutError
from builders.rollout.executor.context import Report
from builders.rollout.model import DesiredState, Target, Values, Wave

from .conftest import Administrator
from .crash_harness import Killed, Killer
from .small_phase import SmallPhase, body, layer_set

LAYERS = ("network", "database")
REGION = "us-east-1"
_numbers = itertools.count(780_000_000_001)


class Phase(RuleBasedStateMachine):
    """A phase whose templates, overrides, accounts and waves change, and that is applied now and then."""

    cloud: Cloud

    @initialize()
    def begin(self) -> None:
        administrator = Administrator(self.cloud, str(next(_numbers)))
        members = [administrator.member(str(next(_numbers))) for _ in range(2)]
        self.small = SmallPhase(administrator, members, regions=(REGION,))
        self.versions = dict.fromkeys(LAYERS, "1")
        self.delays: dict[tuple[str, str], str] = {}
        self.accounts = members
        self.one_by_one = False

    @rule(layer=st.sampled_from(LAYERS), version=st.sampled_from("123"))
    def change_a_template(self, layer: str, version: str) -> None:
        self.versions[layer] = version

    @rule(layer=st.sampled_from(LAYERS), number=st.integers(0, 1), delay=st.sampled_from("079"))
    def override(self, layer: str, number: int, delay: str) -> None:
        self.delays[layer, self.small.accounts[number]] = delay

    @rule(numbers=st.sampled_from([(0,), (1,), (0, 1)]), one_by_one=st.booleans())
    def choose_accounts(self, numbers: tuple[int, ...], one_by_one: bool) -> None:
        self.accounts = [self.small.accounts[number] for number in numbers]
        self.one_by_one = one_by_one

    @rule()
    def apply(self) -> None:
        assert self.run().good
        self.is_as_desired()

    @rule(point=st.integers(0, 60))
    def apply_killed(self, point: int) -> None:
        with contextlib.suppress(Killed):
            self.small.connect(Killer(point))
            self.run()
        try:
            self.small.resume(self.desired())
        except RolloutError as error:
            assert "nothing to resume" in str(error)
        self.apply()

    @rule(number=st.integers(0, 1))
    def apply_where_an_account_fails(self, number: int) -> None:
        """One that stays: a deletion that fails makes an instance INOPERABLE, which needs a person."""
        account = self.accounts[number % len(self.accounts)]
        self.small.administrator.fleet.drive(Accounts={account: {"Failure": "Rate exceeded"}})
        self.run()
        self.small.administrator.fleet.drive(Accounts={account: {}})
        self.apply()

    def teardown(self) -> None:
        if hasattr(self, "small"):
            assert self.run().good
            self.is_as_desired()

    def run(self) -> Report:
        return self.small.run(self.desired())

    def desired(self) -> DesiredState:
        sets = []
        for layer in LAYERS:
            overrides: dict[Target, Values] = {}
            for account in self.accounts:
                delay = self.delays.get((layer, account), "0")
                overrides[Target(account, REGION)] = {} if delay == "0" else {"DelaySeconds": delay}
            sets.append(layer_set(layer, overrides, body(layer, version=self.versions[layer])))
        waves = [(account,) for account in self.accounts] if self.one_by_one else [tuple(self.accounts)]
        named = tuple(Wave(f"wave {number}", accounts) for number, accounts in enumerate(waves))
        return self.small.desired(*sets, waves=named, failure_tolerance="1")

    def is_as_desired(self) -> None:
        desired = self.desired()
        assert self.small.plan(desired).nothing_to_do
        expected = {(layer, Target(account, REGION)) for layer in LAYERS for account in self.accounts}
        assert self.small.versions() == {(layer, target): self.versions[layer] for layer, target in expected}
        for layer, state in self.small.current().sets.items():
            for target, instance in state.instances.items():
                stack = stacks.deployed(self.small.client.reading(target), instance.stack_id)
                assert stack
                assert stack.parameters["DelaySeconds"] == desired.sets[layer].values(target).get("DelaySeconds", "0")


def test_whatever_changes_fails_or_is_killed_the_phase_becomes_what_is_desired(own_cloud: Cloud, whole: bool) -> None:
    machine = type("PhaseHere", (Phase,), {"cloud": own_cloud})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=8 if whole else 3,
            stateful_step_count=7,
            phases=[Stage.generate],  # to shrink takes minutes, and the steps are few
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
