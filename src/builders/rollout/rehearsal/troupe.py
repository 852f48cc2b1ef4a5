"""What every act of a rehearsal plays with: the world, the commands, the phases from outside, the stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from builders.rollout import bootstrap, desired as desires
from builders.rollout.model import Place
from builders.rollout.rehearsal import snapshot
from builders.rollout.rehearsal.calling import Caller, Observer, Said
from builders.rollout.rehearsal.snapshot import Snapshot
from builders.rollout.rehearsal.stage import Act, Stage
from builders.rollout.rehearsal.world import World
from builders.rollout.steps import Action
from builders.rollout.store import Journal, Run, Store

QUICK = ("--yes", "--poll", "0.1")
"""How commands that change something are called: the cloud is quick, and nobody is asked."""

WITHOUT_ID = (Action.CREATE_SET, Action.DELETE_SET)
"""Calls of the journal that make no operation."""


@dataclass
class Troupe:
    """A rehearsal under way."""

    world: World
    caller: Caller
    stage: Stage
    _journals: dict[str, Journal] = field(default_factory=dict)

    def call(self, act: Act, *arguments: str, observe: Observer | None = None) -> Said:
        """Run one command, and note it in the act."""
        act.commands.append(" ".join(("rollout-stacksets", *arguments)))
        return self.caller.call(*arguments, observe=observe)

    def check(self, act: Act) -> Said:
        """Check the templates, as apply does before anything else."""
        act.commands.append(f"build-templates --check --templates-dir {self.caller.templates}")
        return self.caller.check()

    def suffix(self, phase: str) -> str:
        """What ends the names of a phase."""
        rollout = self.world.rollout
        return desires.suffix(rollout, phase, desires.environment(rollout, phase)) or ""

    def snapshot(self, phase: str) -> Snapshot:
        """The phase as the services describe it."""
        rollout = self.world.rollout
        return snapshot.take(
            self.world.accounts,
            Place(rollout.tooling.account, rollout.home),
            self.suffix(phase),
            rollout.network.account if rollout.network else None,
            rollout.stacksets.call_as,
        )

    def snapshots(self) -> dict[str, Snapshot]:
        """All phases."""
        return {phase: self.snapshot(phase) for phase in self.world.rollout.phases}

    def journal(self, phase: str) -> Run | None:
        """The run that is under way or was the last, as its journal has it."""
        if phase not in self._journals:
            suffix, home = self.suffix(phase), self.world.rollout.home
            client = self.caller.of_phase(phase, suffix)
            bucket = bootstrap.shared(client, self.world.rollout, phase).tooling[home]["ArtifactsBucket"]
            self._journals[phase] = Store(client.objects(home), bucket, suffix).journal
        return self._journals[phase].run()

    def operations(self) -> Mapping[str, Counter[str]]:
        """What StackSets did, by phase and action, as the service lists it."""
        rollout = self.world.rollout
        api = self.world.accounts.api("cloudformation", rollout.tooling.account, rollout.home)
        call_as = rollout.stacksets.call_as
        found = {}
        for phase in rollout.phases:
            found[phase] = Counter[str]()
            for name in snapshot.sets(api, self.suffix(phase), call_as):
                pages = api.get_paginator("list_stack_set_operations").paginate(StackSetName=name, CallAs=call_as)
                found[phase].update(each["Action"] for page in pages for each in page["Summaries"])
        return found


def expect_each_once(troupe: Troupe, act: Act, phase: str, before: Snapshot) -> int:
    """Hold what the service lists against the journal: each operation once, and none beside. Return how many."""
    run = troupe.journal(phase)
    act.expect(run is not None, "the journal is empty")
    assert run is not None
    written = [entry for entry in run.entries if entry.step.action not in WITHOUT_ID]
    ids = sorted(entry.operation_id for entry in written)
    listed = sorted(each for found in troupe.snapshot(phase).new_operations(before).values() for each in found)
    act.expect(
        ids == listed,
        f"the journal has {len(ids)} operations and AWS lists {len(listed)}; "
        f"only in one of them: {', '.join(sorted(set(ids) ^ set(listed)))}",
    )
    twice = Counter((entry.step.action, entry.step.layer, place) for entry in written for place in entry.step.places)
    doubled = [f"{action.value} of {layer} at {place}" for (action, layer, place), count in twice.items() if count > 1]
    act.expect(not doubled, f"done twice: {', '.join(doubled)}")
    return len(ids)
