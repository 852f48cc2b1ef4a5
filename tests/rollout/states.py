"""Desired and current states drawn by hypothesis, and short ways to write them by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from builders.rollout.model import (
    DesiredState,
    Instance,
    Permissions,
    Preferences,
    StackSet,
    StackSetSpec,
    Status,
    Target,
    Values,
    Wave,
)
from builders.rollout.plan.calls import Call
from builders.rollout.plan.schedule import Schedule

ACCOUNTS = ("1" * 12, "2" * 12, "3" * 12, "4" * 12)
REGIONS = ("us-east-1", "eu-west-1")
TARGETS = tuple(Target(account, region) for account in ACCOUNTS for region in REGIONS)
LAYER = "network"


def template(*parameters: str, **sections: Any) -> str:
    """A body that declares the suffix and some parameters, each with the default `-`."""
    declared = {name: {"Type": "String", "Default": "-"} for name in ("EnvironmentSuffix", *parameters)}
    return json.dumps({"Parameters": declared, "Resources": {}, **sections})


def phase(*sets: StackSetSpec, needs: Mapping[str, frozenset[str]] | None = None, **other: Any) -> DesiredState:
    """A phase of some layers, in one wave unless others are given."""
    accounts = tuple(sorted({target.account for each in sets for target in each.overrides}))
    given = {"waves": (Wave("rest", accounts),), "regions": REGIONS, "preferences": Preferences(), **other}
    return DesiredState(
        phase="dev",
        suffix="dev",
        sets={each.layer: each for each in sets},
        plain={},
        needs=needs or {},
        permissions=Permissions(),
        tags={},
        **given,
    )


def desired_set(
    overrides: Mapping[Target, Values], *, layer: str = LAYER, body: str = "", **values: str
) -> StackSetSpec:
    """A layer's set whose parameters are the suffix and `values`."""
    return StackSetSpec(
        layer,
        f"stackferry-{layer}-dev",
        body or template("Size", "Zone"),
        {"EnvironmentSuffix": "dev", **values},
        overrides,
    )


def calls_of(schedule: Schedule) -> tuple[Call, ...]:
    """All calls, in the order of waves and layers."""
    return tuple(call for wave in schedule.waves for each in wave.layers for call in each.calls)


values = st.fixed_dictionaries({}, optional={name: st.sampled_from(["a", "b"]) for name in ("Size", "Zone")})


@st.composite
def desired_sets(draw: st.DrawFn) -> StackSetSpec:
    """A layer as it is desired, at some of the targets."""
    targets = draw(st.sets(st.sampled_from(TARGETS)))
    return desired_set(
        {target: draw(values) for target in sorted(targets)},
        body=draw(st.sampled_from([template("Size", "Zone"), template("Size", "Zone", Description="newer")])),
        **draw(values),
    )


@st.composite
def stack_sets(draw: st.DrawFn) -> StackSet | None:
    """A layer as it is, in whatever state, or not there."""
    if draw(st.booleans()):
        return None
    desired = draw(desired_sets())
    instances = {
        target: Instance(
            target,
            draw(st.sampled_from(Status)),
            "SUCCEEDED",
            overrides=draw(st.one_of(st.none(), st.just(overrides))),
        )
        for target, overrides in desired.overrides.items()
    }
    return StackSet(desired.layer, desired.name, desired.template, desired.parameters, {}, instances)
