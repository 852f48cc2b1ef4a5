"""Sets, their instances, their operations and the results of those as plain data; and the settings of a test."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ministack import app
from ministack.core import router
from ministack.core.responses import error_response_json, json_response

from builders import naming

Json = Any
Key = tuple[str, str]
"""The account and the region of an instance."""

ACTIVE = ("QUEUED", "RUNNING", "STOPPING")
"""The statuses of an operation that is not over."""


def now() -> datetime:
    """Return the time as timestamps of the API give it."""
    return datetime.now(UTC)


@dataclass
class Instance:
    """A stack of the set in one account and region; the stack itself need not be there (yet)."""

    account: str
    region: str
    unit: str = ""
    """The OU or root of the request that made it; empty in self-managed sets."""
    stack_id: str = ""
    status: str = "OUTDATED"
    detailed: str = "PENDING"
    reason: str = ""
    overrides: dict[str, str] = field(default_factory=dict)
    parameters: frozenset[str] = frozenset()
    """The parameters of the template that the stack has; what is not among them cannot be overridden."""
    drift: str = "NOT_CHECKED"
    drift_checked: datetime | None = None
    last_operation: str = ""

    @property
    def key(self) -> Key:
        """The account and region, which identify it within its set."""
        return self.account, self.region

    def wait(self, operation_id: str) -> None:
        """An operation has taken it up and not yet begun."""
        self.status = "INOPERABLE" if self.status == "INOPERABLE" else "OUTDATED"
        self.detailed, self.reason, self.last_operation = "PENDING", "", operation_id


@dataclass
class Result:
    """The result of one instance in one operation."""

    account: str
    region: str
    unit: str
    changes: list[tuple[float, str, str]] = field(default_factory=list)
    """Time (seconds since the epoch), status and reason of each change; the last is true, and the API lags behind."""

    def record(self, status: str, reason: str = "") -> None:
        """Remember a status and when it came."""
        self.changes.append((time.time(), status, reason))

    @property
    def status(self) -> str:
        """The status that is true now."""
        return self.changes[-1][1]

    @property
    def over(self) -> bool:
        """True where the operation has finished with the instance."""
        return self.status not in ("PENDING", "RUNNING")

    def seen(self, lag: float) -> tuple[str, str] | None:
        """Return status and reason as they were `lag` seconds ago; None where there was nothing yet."""
        past = [change for change in self.changes if change[0] <= time.time() - lag]
        return past[-1][1:] if past else None


@dataclass
class Operation:
    """One operation on a set. It is over when `ended` is set."""

    id: str
    action: str
    request: Json
    """The request itself, to recognize it when it comes again."""
    preferences: Mapping[str, Json]
    targets: dict[Key, str] | None
    """The instances that it names, each with the unit by which it is meant; None: all of the set."""
    begin: str
    """The name of what begins it, when it starts (queue.beginning)."""
    whole: bool = False
    """True where it touches the set itself, and so conflicts with every other."""
    template: tuple[str, Mapping[str, Json]] | None = None
    """The set's new template, as text and parsed, where it brings one."""
    stack_ids: dict[Key, str] = field(default_factory=dict)
    """The stacks that it imports, by the instances that they become."""
    retain: bool = False
    deployment_targets: Json = None
    changes: list[tuple[float, str]] = field(default_factory=lambda: [(time.time(), "QUEUED")])
    """Time (seconds since the epoch) and status of each change; the last is true, and lists of operations lag."""
    created: datetime = field(default_factory=now)
    ended: datetime | None = None
    instances: list[Instance] = field(default_factory=list)
    results: dict[Key, Result] = field(default_factory=dict)
    drift: dict[Key, str] = field(default_factory=dict)
    """The findings of a drift detection, for each instance that it could look at."""

    @property
    def status(self) -> str:
        """The status that is true now."""
        return self.changes[-1][1]

    def become(self, status: str) -> None:
        """Take a status; one that is final ends the operation."""
        self.changes.append((time.time(), status))
        if not self.active:
            self.ended = now()

    def seen(self, lag: float) -> str | None:
        """Return the status as it was `lag` seconds ago; None where there was no operation yet."""
        past = [status for moment, status in self.changes if moment <= time.time() - lag]
        return past[-1] if past else None

    @property
    def active(self) -> bool:
        """True until it is over."""
        return self.status in ACTIVE

    def failed(self, lag: float = 0.0) -> int:
        """Return the number of failed instances, as it was `lag` seconds ago."""
        if not lag or (self.ended and now().timestamp() - self.ended.timestamp() > lag):
            return sum(result.status == "FAILED" for result in self.results.values())
        return sum((result.seen(lag) or ("",))[0] == "FAILED" for result in self.results.values())

    @property
    def under_way(self) -> Iterable[Key] | None:
        """The instances that it has still to work on; None where it waits and names none: all of its set."""
        if self.results:
            return [key for key, result in self.results.items() if not result.over]
        return self.targets


@dataclass
class StackSet:
    """A set: its template and values, its instances, and all operations it ever had."""

    name: str
    account: str
    region: str
    template_body: str
    template: Mapping[str, Json]
    parameters: dict[str, str]
    capabilities: list[str]
    tags: list[dict[str, str]]
    description: str = ""
    permission_model: str = "SELF_MANAGED"
    administration_role_arn: str = ""
    execution_role_name: str = naming.DEFAULT_EXECUTION_ROLE
    auto_deployment: dict[str, Json] | None = None
    managed_execution: bool = False
    status: str = "ACTIVE"
    creation: Json = None
    """The request that made it, to know it when it comes again."""
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    instances: dict[Key, Instance] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    units: dict[str, list[str]] = field(default_factory=dict)
    """Service-managed: each OU that was targeted, and the regions there."""

    @property
    def id(self) -> str:
        """The StackSetId."""
        return f"{self.name}:{self.uuid}"

    @property
    def arn(self) -> str:
        """The StackSetARN."""
        return f"arn:aws:cloudformation:{self.region}:{self.account}:stackset/{self.id}"

    @property
    def service_managed(self) -> bool:
        """True where Organizations, and not the user's roles, give the permissions."""
        return self.permission_model == "SERVICE_MANAGED"

    @property
    def active_operations(self) -> list[Operation]:
        """The operations that are not over, oldest first."""
        return [operation for operation in self.operations.values() if operation.active]


TARGET = "StackferryStackSets"
"""Tests and rehearsals change an administrator's settings by one operation beside the API, at the same address:

    POST /  X-Amz-Target: StackferryStackSets.Drive
    {"Administrator": "111111111111", "StackSeconds": 0.3, "ResultsLagSeconds": 2.0, "StackSets": 3, "Instances": 9,
     "InstancesUnderWay": 500, "OperationsLagSeconds": 2.0, "StaleRequests": {"Share": 0.2, "Seed": 7},
     "GoneIsNotFound": true, "UpdateInstancesCarry": false, "SameTemplateLeavesStatus": true,
     "Accounts": {"222222222222": {"StackSeconds": 5.0}, "333333333333": {"Failure": "Rate exceeded"}}}

Administrator is the account that owns the sets; each other key may be left out and stays as it is. StackSeconds is how
long each instance of an operation is RUNNING before its stack is touched; a change of it also reaches operations that
run. ResultsLagSeconds is how far
ListStackSetOperationResults is behind, OperationsLagSeconds how far ListStackSetOperations is. StackSets, Instances and
InstancesUnderWay are the quotas of sets, of instances in a set, and of instances in a region on which operations of all
sets work at a time. StaleRequests refuses that share of the requests with a new OperationId as stale: the same ones for
the same seed. GoneIsNotFound lets DeleteStackInstances be a StackInstanceNotFoundException where no
instance is there. Without UpdateInstancesCarry UpdateStackInstances updates the parameters of stacks and neither their
template nor their tags, and the instances are CURRENT; with SameTemplateLeavesStatus an update of a set that brings the
template and parameters that it has leaves the status of the instances that it does not name.
Accounts names those that are slower than the others, or in which every operation fails, with the reason; it replaces
the accounts of an earlier request.
"""


@dataclass
class Settings:
    """Durations, lags, quotas and failing accounts for the sets of one administrator.

    Quotas: CloudFormation user guide, "Understand CloudFormation quotas".
    """

    stack_seconds: float = 0.0
    results_lag_seconds: float = 0.3
    operations_lag_seconds: float = 0.0
    stack_sets: int = 1000
    instances: int = 100_000
    under_way: int = 10_000
    gone_is_not_found: bool = False
    update_instances_carry: bool = True
    same_template_leaves_status: bool = False
    stale_share: float = 0.0
    stale_seed: int = 0
    requests: int = 0
    """The number of requests with a new OperationId since StaleRequests was set."""
    accounts: dict[str, dict[str, Json]] = field(default_factory=dict)

    def seconds(self, account: str) -> float:
        """Return how long an instance in the account is RUNNING before its stack is touched."""
        return float(self.accounts.get(account, {}).get("StackSeconds", self.stack_seconds))

    def next_is_stale(self) -> bool:
        """Decide on the next request with a new OperationId, as the seed wants it."""
        self.requests += 1
        return random.Random(f"{self.stale_seed} {self.requests}").random() < self.stale_share  # noqa: S311

    def failure(self, account: str) -> str:
        """Return why every operation fails in the account; empty when it does not."""
        return str(self.accounts.get(account, {}).get("Failure", ""))


_settings: defaultdict[str, Settings] = defaultdict(Settings)


def settings(administrator: str) -> Settings:
    """Return what holds for an account's sets."""
    return _settings[administrator]


def install() -> None:
    """Let ministack route the operation here."""
    router.SERVICE_PATTERNS["stackferry-stacksets"] = {"target_prefixes": [TARGET]}
    app.SERVICE_HANDLERS["stackferry-stacksets"] = _handle


async def _handle(_method: str, _path: str, _headers: Mapping[str, str], body: bytes, _query: Json) -> Json:
    request = json.loads(body or b"{}")
    try:
        decided = settings(str(request.pop("Administrator")))
        decided.stack_seconds = float(request.pop("StackSeconds", decided.stack_seconds))
        decided.results_lag_seconds = float(request.pop("ResultsLagSeconds", decided.results_lag_seconds))
        decided.operations_lag_seconds = float(request.pop("OperationsLagSeconds", decided.operations_lag_seconds))
        decided.under_way = int(request.pop("InstancesUnderWay", decided.under_way))
        decided.gone_is_not_found = bool(request.pop("GoneIsNotFound", decided.gone_is_not_found))
        decided.update_instances_carry = bool(request.pop("UpdateInstancesCarry", decided.update_instances_carry))
        leaves = request.pop("SameTemplateLeavesStatus", decided.same_template_leaves_status)
        decided.same_template_leaves_status = bool(leaves)
        if "StaleRequests" in request:
            stale = request.pop("StaleRequests")
            decided.stale_share, decided.stale_seed, decided.requests = float(stale["Share"]), int(stale["Seed"]), 0
        decided.stack_sets = int(request.pop("StackSets", decided.stack_sets))
        decided.instances = int(request.pop("Instances", decided.instances))
        decided.accounts = dict(request.pop("Accounts", decided.accounts))
    except (KeyError, TypeError, ValueError) as error:
        return error_response_json("ValidationException", f"{error!r}: see builders/cloud/stacksets/model.py")
    if request:
        return error_response_json("ValidationException", f"unknown: {', '.join(sorted(request))}")
    return json_response({})
