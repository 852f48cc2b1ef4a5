"""Plans written by hand and drawn by hypothesis, for what shows them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from builders.rollout.model import Target
from builders.rollout.plan.calls import Action
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Group, Plan, PlannedHazard, PlannedOperation
from builders.stack_diff.effects import Change, Effect
from builders.stack_diff.hazards import Hazard, HazardKind

REGIONS = ("us-east-1", "eu-west-1")
LAYERS = ("foundation", "network", "database", "monitoring")

SUBNET = Change("Subnet", "AWS::EC2::Subnet", Effect.REPLACE, ("CidrBlock",))
ATTACHMENT = Change(
    "Attachment",
    "AWS::EC2::TransitGatewayAttachment",
    Effect.MODIFY,
    ("SubnetIds.* (Subnet is replaced)", "SubnetIds.* (OtherSubnet is replaced)"),
)
DATABASE = Change("Database", "AWS::RDS::DBInstance", Effect.REPLACE, ("StorageEncrypted",), "payments-prod", True)
DASHBOARD = Change("Dashboard", "AWS::CloudWatch::Dashboard", Effect.ADD)
KEPT = Change("LogGroup", "AWS::Logs::LogGroup", Effect.RETAIN)
OUTPUTS = Change("", "", Effect.OUTPUTS, ("VpcId", "SubnetIds"))

LOSS = Hazard(
    HazardKind.STATEFUL,
    "database",
    "Database",
    "Database (AWS::RDS::DBInstance) is replaced, by StorageEncrypted: a new database is empty; the old one stays, "
    "outside the stack",
    "do not change StorageEncrypted, or acknowledge database/Database",
    acknowledgeable=True,
)
REFUSED = Hazard(
    HazardKind.EXPORT_IN_USE,
    "network",
    "network-SubnetIds-prod",
    "export network-SubnetIds-prod is changed, since Subnet is replaced; imported by database: CloudFormation refuses",
    "two releases: first one that drops the import from database, then this one",
    acknowledgeable=False,
)


def targets(accounts: int, first: int = 0, regions: Sequence[str] = REGIONS) -> tuple[Target, ...]:
    """All regions of so many accounts."""
    return tuple(
        Target(f"{111_111_111_111 + number}", region) for number in range(first, first + accounts) for region in regions
    )


def call(wave: str, layer: str, accounts: int, regions: Sequence[str] = REGIONS, **more: Any) -> PlannedOperation:
    """An operation that creates or updates."""
    given: dict[str, Any] = {"action": Action.UPDATE, "at_once": min(10, accounts), "minutes": 7.5, **more}
    return PlannedOperation(wave, layer, accounts=accounts, regions=tuple(regions), **given)


def plan(*groups: Group, **more: Any) -> Plan:
    """A plan of some groups."""
    given: dict[str, Any] = {
        "phase": "prod",
        "command": "apply",
        "release": "3f2a91bc0d11",
        "layers": LAYERS,
        "operations": (),
        "hazards": (),
        "acknowledged": frozenset(),
        "minutes": 0.0,
        **more,
    }
    return Plan(groups=groups, **given)


def update(accounts: int, **more: Any) -> Plan:
    """A phase in two waves whose database is replaced, whose subnets are, and which gets a dashboard."""
    waves = {"canary": targets(1), "rest": targets(accounts - 1, first=1)}
    groups, calls = [], []
    for wave, where in waves.items():
        groups += [
            Group(wave, "foundation", ChangeKind.NOTHING, where),
            Group(wave, "network", ChangeKind.UPDATE, where, (SUBNET, ATTACHMENT, KEPT, OUTPUTS)),
            Group(wave, "database", ChangeKind.UPDATE, where, (DATABASE,)),
            Group(wave, "monitoring", ChangeKind.CREATE, where[:-1]),
            Group(wave, "monitoring", ChangeKind.RETRY, where[-1:], (DASHBOARD,)),
        ]
        calls += [
            call(wave, "network", len(where) // 2, [REGIONS[0]]),
            call(wave, "network", len(where) // 2, [REGIONS[1]]),
            call(wave, "database", len(where) // 2),
            call(wave, "monitoring", len(where) // 2, action=Action.CREATE),
        ]
    hazards = (PlannedHazard(REFUSED, targets(1)), PlannedHazard(LOSS, targets(accounts)))
    given = {
        "operations": tuple(calls),
        "hazards": hazards,
        "minutes": 150.0,
        "notes": ("one account at a time",),
        **more,
    }
    return plan(*groups, **given)


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
"""Whatever a value may hold: brackets, quotes, wide characters, escapes."""
some_targets = st.lists(
    st.builds(Target, st.integers(0, 40).map("{:012}".format), st.sampled_from([*REGIONS, "ap-southeast-4"])),
    min_size=1,
    max_size=8,
    unique=True,
).map(lambda found: tuple(sorted(found)))
some_changes = st.lists(
    st.builds(
        Change, names, names, st.sampled_from(Effect), st.lists(names, max_size=3).map(tuple), names, st.booleans()
    ),
    max_size=4,
    unique_by=lambda change: change.logical_id,
).map(tuple)
some_hazards = st.lists(
    st.builds(
        PlannedHazard,
        st.builds(Hazard, st.sampled_from(HazardKind), names, names, names, names, st.booleans()),
        some_targets,
    ),
    max_size=3,
).map(tuple)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any plan, in which each target has each layer once."""
    layers = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    groups = []
    for layer in layers:
        left = list(draw(some_targets))
        while left:
            taken = [left.pop() for _ in range(draw(st.integers(1, len(left))))]
            changes = draw(st.none() | some_changes)
            wave = draw(st.sampled_from(["canary", "rest"]))
            groups.append(Group(wave, layer, draw(st.sampled_from(ChangeKind)), tuple(sorted(taken)), changes))
    calls = draw(
        st.lists(
            st.builds(
                PlannedOperation,
                st.sampled_from(["canary", "rest"]),
                st.sampled_from(layers),
                st.sampled_from(Action),
                st.integers(0, 5_000),
                st.sampled_from([REGIONS, REGIONS[:1]]),
                st.integers(0, 100),
                st.floats(0, 10_000),
            ),
            max_size=4,
        )
    )
    return plan(
        *groups,
        phase=draw(names),
        command=draw(st.sampled_from(["apply", "rollback", "remove"])),
        layers=tuple(layers),
        operations=tuple(calls),
        hazards=draw(some_hazards),
        minutes=draw(st.floats(0, 100_000)),
        notes=tuple(draw(st.lists(names, max_size=3))),
    )


def acknowledging_all(made: Plan) -> Plan:
    """The same plan, agreed to."""
    return dataclasses.replace(made, acknowledged=frozenset(each.name for each in made.hazards))
