"""A phase of three small layers on the embedded cloud: what apply, resume, rollback and remove are tried on.

`network` exports the name of a queue, `database` imports it, `monitoring` needs both; queues are quick.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from cloud.stacksets.conftest import ACTIVE

from builders import naming
from builders.aws.calls import CallObserver
from builders.rollout.client import Client
from builders.rollout.executor.context import Clock, Observer, PollInterval, Report, RunServices
from builders.rollout.executor.executor import begin_run, run_to_desired, take_over_run
from builders.rollout.model import (
    CurrentState,
    DesiredState,
    Permissions,
    Preferences,
    StackSetSpec,
    Target,
    Values,
    Wave,
)
from builders.rollout.plan.plan import Plan, make_plan
from builders.rollout.state.journal import Command
from builders.rollout.state.store import Store

from .conftest import PHASE, SUFFIX, Administrator

LAYERS = ("database", "monitoring", "network")
NEEDS = {"network": frozenset[str](), "database": frozenset({"network"}), "monitoring": frozenset({"database"})}
REGIONS = ("us-east-1", "eu-west-1")
QUICK = PollInterval(0.02, 0.2)


def body(layer: str, *, version: str = "1", **resources: Any) -> str:
    """A layer's template. `version` is in the queue's tags, so that another one is an update in place."""
    queue: dict[str, Any] = {
        "DelaySeconds": {"Ref": "DelaySeconds"},
        "Tags": [{"Key": "Version", "Value": version}],
    }
    outputs = {}
    if layer == "network":
        name = {"Fn::Sub": "network-Queue-${EnvironmentSuffix}"}
        outputs = {"Queue": {"Value": {"Fn::GetAtt": "Queue.QueueName"}, "Export": {"Name": name}}}
    else:
        imported = {"Fn::ImportValue": {"Fn::Sub": "network-Queue-${EnvironmentSuffix}"}}
        queue["Tags"].append({"Key": "Network", "Value": imported})
    return json.dumps(
        {
            "Parameters": {
                "EnvironmentSuffix": {"Type": "String"},
                "DelaySeconds": {"Type": "String", "Default": "0"},
            },
            "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": queue}, **resources},
            "Outputs": outputs,
        }
    )


def layer_set(
    layer: str, targets: Iterable[Target] | Mapping[Target, Values], template: str = "", **more: str
) -> StackSetSpec:
    """A layer's set; a mapping gives overrides, `more` the set's own values."""
    overrides = dict(targets) if isinstance(targets, Mapping) else {target: {} for target in targets}
    values = {"EnvironmentSuffix": SUFFIX, **more}
    return StackSetSpec(layer, naming.stack_set(layer, SUFFIX), template or body(layer), values, overrides)


class Lines(Observer):
    """Keeps what a person should read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


class SmallPhase:
    """The phase's accounts, its client and its store."""

    def __init__(self, administrator: Administrator, accounts: list[str], regions: Iterable[str] = REGIONS) -> None:
        self.administrator = administrator
        self.accounts = accounts
        self.targets = [Target(account, region) for account in accounts for region in regions]
        self.bucket = administrator.bucket()
        self.connect()

    def connect(self, observe: CallObserver | None = None, **access: Any) -> Client:
        """A client and a store as another process would make them; `access` may say how patient it is."""
        self.client = self.administrator.client(observe=observe, **access)
        self.store = Store(self.client.objects("us-east-1"), self.bucket, SUFFIX)
        return self.client

    def desired(self, *sets: StackSetSpec, waves: tuple[Wave, ...] = (), **preferences: Any) -> DesiredState:
        """The phase with these layers; all three at all targets where none is named."""
        return DesiredState(
            phase=PHASE,
            suffix=SUFFIX,
            sets={each.layer: each for each in sets or [layer_set(layer, self.targets) for layer in LAYERS]},
            plain={},
            needs=NEEDS,
            waves=waves or (Wave("all", tuple(self.accounts)),),
            regions=REGIONS,
            preferences=Preferences(**({"max_concurrent": "100%", "failure_tolerance": "0"} | preferences)),
            permissions=Permissions(),
            tags={"Environment": SUFFIX},
        )

    def services(self, observer: Observer | None = None) -> RunServices:
        return RunServices(self.client, self.store, Clock(), QUICK, observer or Observer())

    def run(
        self,
        desired: DesiredState,
        command: Command = Command.APPLY,
        observer: Observer | None = None,
        to: str = "",
        planned: Plan | None = None,
    ) -> Report:
        """Run to the end, by the schedule of the plan where one was made; `to` is the release of a rollback."""
        services, planned = self.services(observer), planned or self.plan(desired, command)
        run = begin_run(services, command, self.store.releases.save(desired), (), to)
        return run_to_desired(services, run, desired, LAYERS, planned.schedule)

    def resume(self, desired: DesiredState, observer: Observer | None = None) -> Report:
        """Go on with the run that is under way, as another process with a client of its own."""
        self.connect()
        services = self.services(observer)
        run, _ = take_over_run(services, lambda run: desired)
        return run_to_desired(services, run, desired, LAYERS, self.plan(desired, run.command).schedule)

    def current(self) -> CurrentState:
        from builders.rollout.executor import current_state

        return current_state.read_current_state(self.client, self.store.overrides(), self.desired(), LAYERS)

    def plan(self, desired: DesiredState, command: Command = Command.APPLY) -> Plan:
        return make_plan(desired, self.current(), back=command is not Command.APPLY)

    def versions(self) -> dict[tuple[str, Target], str]:
        """The tag Version of every queue, by layer and target: what really is in the accounts."""
        found = {}
        for target in self.targets:
            sqs = self.administrator.api("sqs", target.account, target.region)
            for url in sqs.list_queues().get("QueueUrls", []):
                tags = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
                layer = next((each for each in LAYERS if f"{each}-" in url), url)
                found[layer, target] = tags.get("Version", "")
        return found

    def operations(self) -> dict[str, list[str]]:
        """The actions of all operations that StackSets ever had for the phase, by layer."""
        found = {layer: self._listed(layer) for layer in LAYERS}
        return {
            layer: [each["Action"] for each in reversed(listed)]
            for layer, listed in found.items()
            if listed is not None
        }

    def _listed(self, layer: str) -> list[dict[str, Any]] | None:
        """The operations of a layer's set, as they are now; None where there is no set."""
        api = self.administrator.api("cloudformation")
        try:
            return self.administrator.fleet.operations(naming.stack_set(layer, SUFFIX))
        except api.exceptions.StackSetNotFoundException:
            return None

    def shut_out(self, account: str) -> None:
        self.administrator.fleet.shut_out(account)

    def let_in(self, account: str) -> None:
        self.administrator.fleet.enroll(account)

    def wait_until_idle(self, layers: Collection[str] = LAYERS) -> None:
        """Wait until no operation of the phase runs any more, whoever began it, nor one that lists do not show yet."""
        while any(each["Status"] in ACTIVE for layer in layers for each in self._listed(layer) or ()):
            time.sleep(0.02)
