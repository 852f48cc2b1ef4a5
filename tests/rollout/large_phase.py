"""The phase dev of the committed templates, in as many accounts as are asked for, on a simulation of AWS."""

from __future__ import annotations

import functools
import ipaddress
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builders import naming
from builders.aws.stacks import TEMPLATE_TAG
from builders.layer_templates import Template, read_templates
from builders.rollout.checks import status
from builders.rollout.checks.status import StatusView
from builders.rollout.config import desired_state, schema
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.executor import current_state
from builders.rollout.executor.context import Observer, PollInterval, Report, RunServices
from builders.rollout.executor.executor import begin_run, run_to_desired
from builders.rollout.model import CurrentState, DesiredState, Target, Values
from builders.rollout.plan.calls import Action, Call
from builders.rollout.plan.plan import Plan, make_plan
from builders.rollout.plan.schedule import make_schedule
from builders.rollout.state.journal import Command
from builders.rollout.state.store import Store
from builders.scopes import Scope
from builders.template_bodies import digest

from .simulation import ATTACHMENT, Simulation, simulated_client

ROOT = Path(__file__).parents[2]
TOOLING, NETWORK = "888888888888", "999999999999"
REGIONS = ("us-east-1", "eu-west-1")


@functools.cache
def templates() -> dict[str, Template]:
    """Those of the repository."""
    return read_templates(ROOT / "templates")


class LargePhase:
    """A phase with so many instances of each layer; with `own_ranges` each has a VPC range, and so overrides, alone."""

    def __init__(self, instances: int, *, own_ranges: bool = False, calls_per_second: float = math.inf) -> None:
        self.accounts = tuple(str(200_000_000_000 + number) for number in range(instances // len(REGIONS)))
        self.targets = [Target(account, region) for account in self.accounts for region in REGIONS]
        self.simulation = Simulation(TOOLING, calls_per_second)
        self.own_ranges = own_ranges
        self.desired = self.spec()
        self.connect()

    def connect(self) -> None:
        """A client and a store as another process would make them."""
        self.simulation.begin()
        self.client = simulated_client(self.simulation)
        self.store = Store(self.client.objects("us-east-1"), "bucket", self.desired.suffix)

    def spec(self, **parameters: str) -> DesiredState:
        """The desired state with some of its parameters changed, made from rollout.yaml as always."""
        ranges = ipaddress.ip_network("10.0.0.0/8").subnets(new_prefix=22)
        own: dict[str, Values] = {}
        if self.own_ranges:
            own = {str(target): {"VpcCidr": str(block)} for target, block in zip(self.targets, ranges, strict=False)}
        phase: dict[str, Any] = {
            "environment": str(ROOT / "environments/dev.json"),
            "targets": {"accounts": self.accounts},
            "regions": REGIONS,
            "region_parameters": {"eu-west-1": {"S3PrefixListId": "pl-6da54004"}},
            "place_parameters": own,
            "parameters": {"Connectivity": "TransitGateway", **parameters},
            "waves": [{"name": "canary", "accounts": self.accounts[:1]}, {"name": "rest", "rest": True}],
            "concurrency": {"max_concurrent": "100%", "failure_tolerance": "10%", "mode": "SOFT"},
        }
        content = {
            "tooling": {"account": TOOLING, "parameters": str(ROOT / "environments/tooling.json")},
            "network": {"account": NETWORK, "parameters": str(ROOT / "environments/network.json")},
            "phases": {"dev": phase},
        }
        rollout = schema.RolloutFile.model_validate(content)
        return desired_state.desired_state(rollout, "dev", templates(), _shared())

    def stand(self) -> None:
        """Have the phase as an apply would leave it, its stored state included, without the operations."""
        desired = self.desired
        for layer, each in desired.sets.items():
            call = Call(Action.CREATE_SET, layer, each.name)
            self.client.sets.submit(call, desired, f"made-{layer}", desired.preferences)
            made = self.simulation.sets[each.name]
            made.instances = {target: (f"made-{layer}", overrides) for target, overrides in each.overrides.items()}
        for layer, stacks in desired.plain.items():
            for target, values in stacks.parameters.items():
                name = naming.network_stack(layer, desired.suffix, target.account)
                self.simulation.stacks[NETWORK, target.region, name] = _stack(
                    name, stacks.template, {**values, "DirectConnectAttachmentId": ATTACHMENT}
                )
        known = self.store.overrides()
        for layer, found in self.current().sets.items():
            for instance in found.instances.values():
                known.learn(layer, instance, desired.sets[layer].overrides[instance.target])
        self.store.save_overrides(known)
        self.connect()

    def current(self) -> CurrentState:
        """Read it, as every command does."""
        return current_state.read_current_state(self.client, self.store.overrides(), self.desired, _carried())

    def status(self) -> StatusView:
        """The view of `status`."""
        view, _ = status.run_status(self.client, self.desired, self.store, _carried(), ())
        return view

    def plan(self, desired: DesiredState, *, back: bool = False) -> Plan:
        """Read, look closer, and plan."""
        current = current_state.read_changing_stacks(self.client, desired, self.current(), lambda line: None)
        return make_plan(desired, current, back=back)

    def services(self, observer: Observer | None = None) -> RunServices:
        """The services that a run is given."""
        return RunServices(self.client, self.store, self.simulation.clock, PollInterval(), observer or Observer())

    def apply(
        self,
        desired: DesiredState,
        observer: Observer | None = None,
        planned: Plan | None = None,
        command: Command = Command.APPLY,
    ) -> Report:
        """Run to the end, by the schedule of the plan where one was made."""
        services = self.services(observer)
        schedule = planned.schedule if planned else make_schedule(desired, self.current())
        run = begin_run(services, command, self.store.releases.save(desired), ())
        return run_to_desired(services, run, desired, _carried(), schedule)


def _carried() -> list[str]:
    return [layer for layer, each in templates().items() if each.scope is Scope.PHASE]


def _shared() -> SharedOutputs:
    network = {"TransitGatewayId": "tgw-0123456789abcdef0", "OnPremisesRouteTableId": "tgw-rtb-0123456789abcdef0"}
    return SharedOutputs(
        tooling={region: {"ArtifactsBucket": f"stackferry-artifacts-{region}"} for region in REGIONS},
        administration={"AdministrationRoleArn": f"arn:aws:iam::{TOOLING}:role/stackferry-administration-dev"},
        network=dict.fromkeys(REGIONS, network),
    )


@functools.cache
def _pair(key: str, value: str) -> dict[str, str]:
    """A parameter, one object for all stacks that have it: what AWS holds is no memory of ours."""
    return {"ParameterKey": key, "ParameterValue": value}


def _stack(name: str, template: str, values: Mapping[str, str]) -> dict[str, Any]:
    parameters = [_pair(key, value) for key, value in values.items()]
    tags = [{"Key": TEMPLATE_TAG, "Value": digest(template)}]
    described = {"StackId": name, "StackName": name, "StackStatus": "CREATE_COMPLETE", "Tags": tags}
    return {**described, "Parameters": parameters, "TemplateBody": template}
