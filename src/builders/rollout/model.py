"""What the rooms of the rollout share: places, stack sets as they are and as they shall be. Values, no AWS."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Target(NamedTuple):
    """Where one instance of a stack set lives."""

    account: str
    region: str

    def __str__(self) -> str:
        """Return the form that files and options use."""
        return f"{self.account}/{self.region}"


Values = Mapping[str, str]
"""Parameters by name."""


@dataclass(frozen=True)
class StackSetSpec:
    """One layer of a phase as its stack set shall be.

    `parameters` are the set's own values; `overrides` has an entry for every place that shall have an instance, with
    the values that differ there.
    """

    layer: str
    name: str
    template: str
    parameters: Values
    overrides: Mapping[Target, Values]

    def values(self, target: Target) -> dict[str, str]:
        """What the stack at a place is deployed with."""
        return {**self.parameters, **self.overrides[target]}


@dataclass(frozen=True)
class PlainStackSpec:
    """One layer of a phase that lives in the network account, one stack for each place of the phase.

    Its parameters are complete but for what the stacks of `needs` put out at the place under the same names.
    """

    layer: str
    account: str
    template: str
    parameters: Mapping[Target, Values]


class ConcurrencyMode(enum.Enum):
    """ConcurrencyMode of StackSetOperationPreferences."""

    STRICT = "STRICT_FAILURE_TOLERANCE"
    SOFT = "SOFT_FAILURE_TOLERANCE"


@dataclass(frozen=True)
class Preferences:
    """How an operation goes through accounts and regions. The numbers are for each region; percentages end in %."""

    max_concurrent: str = "1"
    failure_tolerance: str = "0"
    mode: ConcurrencyMode = ConcurrencyMode.STRICT
    parallel_regions: bool = False


@dataclass(frozen=True)
class Wave:
    """Accounts that are deployed together, and what must hold before the next wave begins."""

    name: str
    accounts: tuple[str, ...]
    bake_seconds: int = 0
    quiet_alarms: tuple[str, ...] = ()
    """Prefixes of the names of alarms that must not be in ALARM while their actions are enabled."""


@dataclass(frozen=True)
class Permissions:
    """Who acts in the target accounts. `units` are the OUs that a service-managed set is aimed at."""

    service_managed: bool = False
    call_as: str = "SELF"
    administration_role_arn: str = ""
    execution_role_name: str = ""
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
class DesiredState:
    """What a phase shall be. `sets` and `plain` are by layer; `needs` are the layers that each layer waits for."""

    phase: str
    suffix: str
    sets: Mapping[str, StackSetSpec]
    plain: Mapping[str, PlainStackSpec]
    needs: Mapping[str, frozenset[str]]
    waves: tuple[Wave, ...]
    regions: tuple[str, ...]
    """In the order in which operations go through them."""
    preferences: Preferences
    permissions: Permissions
    tags: Values
    packages: tuple[str, ...] = ()
    """Keys of the functions' packages in the artifacts bucket of each region."""

    @property
    def targets(self) -> frozenset[Target]:
        """Every place that shall have an instance of some layer."""
        return frozenset(target for each in self.sets.values() for target in each.overrides)


class Status(enum.Enum):
    """StackInstance.Status."""

    CURRENT = "CURRENT"
    OUTDATED = "OUTDATED"
    INOPERABLE = "INOPERABLE"


@dataclass(frozen=True)
class Instance:
    """An instance as ListStackInstances shows it; `overrides` is None where they are not known."""

    target: Target
    status: Status
    detailed: str
    reason: str = ""
    stack_id: str = ""
    last_operation_id: str = ""
    unit: str = ""
    drift: str = "NOT_CHECKED"
    overrides: Values | None = None


@dataclass(frozen=True)
class Operation:
    """An operation as DescribeStackSetOperation or ListStackSetOperations shows it."""

    id: str
    action: str
    status: str
    failed: int = 0
    reason: str = ""

    @property
    def active(self) -> bool:
        """Whether it is not over."""
        return self.status in ("QUEUED", "RUNNING", "STOPPING")


@dataclass(frozen=True)
class StackSet:
    """A stack set as it is. `active` are its operations that are not over, oldest first."""

    layer: str
    name: str
    template: str
    parameters: Values
    tags: Values
    instances: Mapping[Target, Instance]
    active: tuple[Operation, ...] = ()
    permissions: Permissions = field(default_factory=Permissions)


@dataclass(frozen=True)
class DeployedStack:
    """The stack of an instance as its own account shows it. `outputs` by the template's names."""

    template: str
    parameters: Values
    status: str
    outputs: Values = field(default_factory=dict)


@dataclass(frozen=True)
class CurrentState:
    """A phase as it is: its stack sets by layer, and the stacks that were looked at, by layer and place.

    `running_tasks` are the places whose replication task runs. `plain` are the stacks of the network account. `unread`
    are stacks that could not be looked at, with the reason.
    """

    sets: Mapping[str, StackSet]
    deployed: Mapping[tuple[str, Target], DeployedStack] = field(default_factory=dict)
    plain: Mapping[tuple[str, Target], DeployedStack] = field(default_factory=dict)
    running_tasks: frozenset[Target] = frozenset()
    unread: Mapping[tuple[str, Target], str] = field(default_factory=dict)


def digest(text: str) -> str:
    """The SHA-256 of a text, in hexadecimal: what a template is stored and compared by."""
    return hashlib.sha256(text.encode()).hexdigest()
