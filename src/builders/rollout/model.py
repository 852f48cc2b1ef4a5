"""Values of the rollout: targets, the desired and the current state of a phase's stack sets. No AWS calls."""

from __future__ import annotations

import enum
import functools
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from builders.scopes import Target as Target  # noqa: PLC0414  one of these values
from builders.template_bodies import DeployedStack as DeployedStack  # noqa: PLC0414  another

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@functools.cache
def shared_target(account: str, region: str) -> Target:
    """A target, one object for all who name it: a phase may have thousands, each with an instance of every layer."""
    return Target(account, region)


LayerTarget = tuple[str, Target]
"""A layer and a target."""

Values = Mapping[str, str]
"""Parameters by name."""


@dataclass(frozen=True)
class StackSetSpec:
    """The desired stack set of one layer of a phase.

    `parameters` are the set's own values; `overrides` has an entry for every target of an instance, with the values
    that differ there.
    """

    layer: str
    name: str
    template: str
    parameters: Values
    overrides: Mapping[Target, Values]

    def values(self, target: Target) -> dict[str, str]:
        """The parameters of the stack at a target."""
        return {**self.parameters, **self.overrides[target]}


@dataclass(frozen=True)
class PlainStackSpec:
    """The desired stacks of one layer of a phase in the network account, one for each target of the phase.

    The parameters are complete but for outputs of the same names, which the layers that it needs have at the target.
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
    """StackSetOperationPreferences. The numbers are for each region; percentages end in %."""

    max_concurrent: str = "1"
    failure_tolerance: str = "0"
    mode: ConcurrencyMode = ConcurrencyMode.STRICT
    parallel_regions: bool = False


@dataclass(frozen=True)
class Wave:
    """Accounts that are deployed together, and conditions on which the next wave begins."""

    name: str
    accounts: tuple[str, ...]
    bake_seconds: int = 0
    quiet_alarms: tuple[str, ...] = ()
    """Prefixes of the names of alarms that must not be in ALARM while their actions are enabled."""


@dataclass(frozen=True)
class Permissions:
    """Roles that act in the target accounts. `units` are the OUs to which a service-managed set deploys."""

    service_managed: bool = False
    call_as: str = "SELF"
    administration_role_arn: str = ""
    execution_role_name: str = ""
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
class DesiredState:
    """The desired state of a phase. `sets` and `plain` are by layer; `needs` are the layers that each layer follows."""

    phase: str
    suffix: str
    sets: Mapping[str, StackSetSpec]
    plain: Mapping[str, PlainStackSpec]
    needs: Mapping[str, frozenset[str]]
    waves: tuple[Wave, ...]
    regions: tuple[str, ...]
    """Regions in the order in which operations go through them."""
    preferences: Preferences
    permissions: Permissions
    tags: Values
    packages: tuple[str, ...] = ()
    """Keys of the functions' packages in the artifacts bucket of each region."""
    digests: Values = field(default_factory=dict)
    """The SHA-256 of each package, in hexadecimal, by its key; without those of packages that nobody has looked at."""

    @property
    def targets(self) -> frozenset[Target]:
        """Every target of an instance of some layer."""
        return frozenset(target for each in self.sets.values() for target in each.overrides)


class Status(enum.Enum):
    """StackInstance.Status."""

    CURRENT = "CURRENT"
    OUTDATED = "OUTDATED"
    INOPERABLE = "INOPERABLE"


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as ListStackInstances shows it; `overrides` is None where they were not read.

    `behind`: an update of the set by a run of ours has passed it by. Its status may still be CURRENT: an update without
    a change of template or parameters leaves it (CloudFormation API reference, UpdateStackSet).
    """

    target: Target
    status: Status
    detailed: str
    reason: str = ""
    stack_id: str = ""
    last_operation_id: str = ""
    unit: str = ""
    drift: str = "NOT_CHECKED"
    overrides: Values | None = None
    behind: bool = False


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
        """True until it is over."""
        return self.status in ("QUEUED", "RUNNING", "STOPPING")


@dataclass(frozen=True)
class StackSet:
    """A stack set as it is. `active` are the operations that are not over, oldest first; `newest` is the id of the one
    that began last."""

    layer: str
    name: str
    template: str
    parameters: Values
    tags: Values
    instances: Mapping[Target, Instance]
    active: tuple[Operation, ...] = ()
    permissions: Permissions = field(default_factory=Permissions)
    newest: str = ""

    @property
    def stack_ids(self) -> dict[LayerTarget, str]:
        """The stacks of its instances, where they have one."""
        return {(self.layer, target): each.stack_id for target, each in self.instances.items() if each.stack_id}


@dataclass(frozen=True)
class CurrentState:
    """A phase as it is: its stack sets by layer, and the stacks that were read, by layer and target.

    `running_tasks` are the targets whose replication task runs. `plain` are the stacks of the network account. `unread`
    are stacks that could not be read, with the reason.
    """

    sets: Mapping[str, StackSet]
    deployed: Mapping[LayerTarget, DeployedStack] = field(default_factory=dict)
    plain: Mapping[LayerTarget, DeployedStack] = field(default_factory=dict)
    running_tasks: frozenset[Target] = frozenset()
    unread: Mapping[LayerTarget, str] = field(default_factory=dict)


def grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """The values of each key, both in the order in which they first come."""
    found: dict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return dict(found)
