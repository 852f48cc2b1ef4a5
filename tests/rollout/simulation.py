"""AWS as a rollout of thousands of accounts meets it: in this process, with nothing behind the answers.

It stands where boto3 does, so that requests, pages, counts and errors are the client's own. Every operation succeeds
and is over when it is first looked at; what StackSets refuse is shown on the embedded cloud, where instances are real.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from builders.aws.calls import Access, ApiCalls, Role, Session
from builders.aws.errors import AccessDenied, Conflict, NotFound, StackSetNotFound, Throttled
from builders.aws.limiter import Api, Limiter
from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.executor.context import Clock
from builders.rollout.model import Permissions, Target

Json = dict[str, Any]
PAGES = {
    "ListStackInstances": 100,
    "ListStackSets": 100,
    "ListStackSetOperations": 100,
    "ListStacks": 100,
    "DescribeStacks": 100,
}
"""Items of a page: of the lists of StackSets the most that may be asked for, of stacks what AWS gives."""
ATTACHMENT = "tgw-attach-0123456789abcdef0"
"""An output of each network's stack, and a parameter of its routes."""
DEPLOY_ROLE = "OrganizationAccountAccessRole"


class Instantly(Clock):
    """A clock whose time passes when it is waited for, from when the thread that waits saw it last."""

    def __init__(self) -> None:
        self.time = 0.0
        self._seen = threading.local()
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            self._seen.time = self.time
            return self.time

    def wait(self, seconds: float) -> None:
        with self._lock:
            self.time = self._seen.time = max(self.time, getattr(self._seen, "time", self.time) + seconds)


@dataclass
class SimulatedSet:
    """A stack set. `instances` have the id of their last operation and their overrides."""

    template: str
    parameters: Json
    tags: list[Json]
    roles: Json = field(default_factory=dict)
    instances: dict[Target, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    operations: list[tuple[str, str]] = field(default_factory=list)
    begun: dict[str, float] = field(default_factory=dict)
    """When each operation began, on the clock."""
    outdated: set[Target] = field(default_factory=set)
    listed: list[Target] = field(default_factory=list)
    """The targets as the first page of a list found them."""
    touched: dict[Target, float] = field(default_factory=dict)
    """When an operation succeeded at them, on the clock."""


class Simulation(ApiCalls):
    """Calls that are answered here. `requested` are the operations; `written` counts bytes.

    More calls a second of an API in an account and region than `calls_per_second` are throttled; a second's calls may
    come at once. `throttled` counts those, `said` are the lines on them. `refusals` are the next answers of an API,
    `lost` those to calls that are carried out; without `lists_stacks` stacks are described by their names alone.
    Instances are listed as PENDING until `late_seconds` after an operation.
    """

    def __init__(self, administrator: str, calls_per_second: float = math.inf) -> None:
        self.clock = Instantly()
        self.said: list[str] = []
        super().__init__(Access("us-east-1"), limiter=Limiter(self.clock.now, self.clock.wait, self.said.append))
        self.calls_per_second = calls_per_second
        self.throttled = Counter[str]()
        self.refusals: dict[str, list[RolloutError]] = {}
        self.lost: dict[str, list[RolloutError]] = {}
        self.lists_stacks = True
        self.late_seconds = 0.0
        self._allowances: dict[Api, tuple[float, float]] = {}
        self._administrator = administrator
        self.sets: dict[str, SimulatedSet] = {}
        self.stacks: dict[tuple[str, str, str], Json] = {}
        self.objects: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.written = 0
        self.requested: list[tuple[str, str, list[Target]]] = []
        self.asked = Counter[tuple[str, str]]()
        """The calls that were answered, by their operations and stack sets."""
        self.looks_until_over = 0
        self.seconds_until_over = 0.0
        self.forgotten = False
        self._listed: list[str] = []
        self._looks: Counter[str] = Counter()
        self._change_sets: dict[str, Json] = {}
        self._assumed: set[Role] = set()

    def begin(self) -> None:
        """As another process finds it: nothing is counted yet, and no role assumed."""
        self.counts.clear()
        self._assumed.clear()
        self._account = ""

    def _make(self, where: Session, service: str, operation: str, request: Mapping[str, Any]) -> Any:
        with self._lock:
            if where.role and where.role not in self._assumed:
                self._assumed.add(where.role)
                self.counts["sts:AssumeRole"] += 1
            account = where.role.account if where.role else self._administrator
            self._allow(Api(account, where.region, service, operation))
            if self.refusals.get(operation):
                raise self.refusals[operation].pop(0)
            self.asked[operation, str(request.get("StackSetName", ""))] += 1
            answer: Callable[..., Any] = getattr(self, f"_{service}_{operation}")
            answered = answer(where, **request)
            if self.lost.get(operation):
                raise self.lost[operation].pop(0)
            return answered

    def _allow(self, api: Api) -> None:
        if self.calls_per_second == math.inf:
            return
        now, most = self.clock.now(), self.calls_per_second
        left, counted = self._allowances.get(api, (most, now))
        left = min(most, left + (now - counted) * most)
        self._allowances[api] = left - (left >= 1), now
        if left < 1:
            self.throttled[f"{api.service}:{api.operation}"] += 1
            raise Throttled("Rate exceeded")

    def _page(self, operation: str, items: list[Any], token: str | None) -> Json:
        start, size = int(token or 0), PAGES[operation]
        more = {"NextToken": str(start + size)} if start + size < len(items) else {}
        return {"Summaries": items[start : start + size], **more}

    def _set(self, name: str) -> SimulatedSet:
        if name not in self.sets:
            raise StackSetNotFound(f"there is no stack set {name}")
        return self.sets[name]

    def _sts_GetCallerIdentity(self, _where: Session) -> Json:
        return {"Account": self._administrator, "Arn": f"arn:aws:iam::{self._administrator}:user/operator"}

    def _cloudformation_ListStackSets(self, _where: Session, NextToken: str = "", **_: Any) -> Json:
        return self._page("ListStackSets", [{"StackSetName": name} for name in sorted(self.sets)], NextToken)

    def _cloudformation_DescribeStackSet(self, _where: Session, StackSetName: str, **_: Any) -> Json:
        found = self._set(StackSetName)
        parameters = _pairs(found.parameters, "Parameter")
        told = {"Status": "ACTIVE", "TemplateBody": found.template, "Parameters": parameters, "Tags": found.tags}
        return {"StackSet": {**told, **found.roles}}

    def _cloudformation_ListStackInstances(
        self, _where: Session, StackSetName: str, NextToken: str = "", **_: Any
    ) -> Json:
        found = self._set(StackSetName)
        if not NextToken:
            found.listed = list(found.instances)
        page = self._page("ListStackInstances", found.listed, NextToken)
        page["Summaries"] = [
            {
                "Account": target.account,
                "Region": target.region,
                "Status": "OUTDATED" if target in found.outdated or self._is_late(found, target) else "CURRENT",
                "StackInstanceStatus": {"DetailedStatus": "PENDING" if self._is_late(found, target) else "SUCCEEDED"},
                "StackId": _stack_id(StackSetName, target),
                "LastOperationId": found.instances[target][0],
                "DriftStatus": "NOT_CHECKED",
            }
            for target in page["Summaries"]
        ]
        return page

    def _cloudformation_DescribeStackInstance(
        self, _where: Session, StackSetName: str, StackInstanceAccount: str, StackInstanceRegion: str, **_: Any
    ) -> Json:
        _id, overrides = self._set(StackSetName).instances[Target(StackInstanceAccount, StackInstanceRegion)]
        return {"StackInstance": {"ParameterOverrides": _pairs(overrides, "Parameter")}}

    def _cloudformation_ListStackSetOperations(
        self, _where: Session, StackSetName: str, NextToken: str = "", **_: Any
    ) -> Json:
        found = self._set(StackSetName)
        self._looks.update(id for id, _ in found.operations)
        listed = [
            {"OperationId": id, "Action": action, "Status": self._status(found, id)}
            for id, action in reversed(found.operations)
        ]
        return self._page("ListStackSetOperations", listed, NextToken)

    def _cloudformation_DescribeStackSetOperation(
        self, _where: Session, StackSetName: str, OperationId: str, **_: Any
    ) -> Json:
        found = self._set(StackSetName)
        actions = dict(found.operations)
        if OperationId not in actions or self.forgotten:
            raise NotFound(f"there is no operation {OperationId}")
        self._looks[OperationId] += 1
        status = self._status(found, OperationId)
        return {"StackSetOperation": {"OperationId": OperationId, "Action": actions[OperationId], "Status": status}}

    def _status(self, found: SimulatedSet, operation_id: str) -> str:
        waiting = self.clock.now() < found.begun.get(operation_id, -math.inf) + self.seconds_until_over
        return "RUNNING" if waiting or self._looks[operation_id] <= self.looks_until_over else "SUCCEEDED"

    def _cloudformation_CreateStackSet(self, _where: Session, StackSetName: str, **request: Any) -> Json:
        self.sets[StackSetName] = SimulatedSet("", {}, [])
        self._define(StackSetName, request)
        return {}

    def _cloudformation_DeleteStackSet(self, _where: Session, StackSetName: str, **_: Any) -> Json:
        del self.sets[StackSetName]
        return {}

    def _cloudformation_UpdateStackSet(self, _where: Session, StackSetName: str, **request: Any) -> Json:
        self._define(StackSetName, request)
        found = self.sets[StackSetName]
        found.outdated = set(found.instances)
        for target in self._begun(StackSetName, "UPDATE", request):
            found.instances[target] = (request["OperationId"], found.instances[target][1])
            found.outdated.discard(target)
        return {}

    def _cloudformation_CreateStackInstances(self, _where: Session, StackSetName: str, **request: Any) -> Json:
        self._override(StackSetName, "CREATE", request)
        return {}

    def _cloudformation_UpdateStackInstances(self, _where: Session, StackSetName: str, **request: Any) -> Json:
        self._override(StackSetName, "UPDATE", request)
        return {}

    def _cloudformation_DeleteStackInstances(self, _where: Session, StackSetName: str, **request: Any) -> Json:
        for target in self._begun(StackSetName, "DELETE", request):
            del self.sets[StackSetName].instances[target]
        return {}

    def _cloudformation_DescribeStacks(self, where: Session, StackName: str = "", NextToken: str = "") -> Json:
        account = where.role.account if where.role else self._administrator
        if not StackName:
            if not self.lists_stacks:
                raise AccessDenied("not all stacks")
            here = [each for key, each in sorted(self.stacks.items()) if key[:2] == (account, where.region)]
            page = self._page("DescribeStacks", here, NextToken)
            return {"Stacks": page.pop("Summaries"), **page}
        if (account, where.region, StackName) in self.stacks:
            return {"Stacks": [self.stacks[account, where.region, StackName]]}
        found, overrides = self._of_stack(StackName, Target(account, where.region))
        values = _pairs({**found.parameters, **overrides}, "Parameter")
        put_out = [{"OutputKey": "DirectConnectAttachmentId", "OutputValue": ATTACHMENT}]
        told = {"StackId": StackName, "StackStatus": "UPDATE_COMPLETE", "Parameters": values, "Outputs": put_out}
        told["Tags"] = found.tags
        return {"Stacks": [told]}

    def _cloudformation_GetTemplate(self, where: Session, StackName: str, **_: Any) -> Json:
        account = where.role.account if where.role else self._administrator
        if (account, where.region, StackName) in self.stacks:
            return {"TemplateBody": json.loads(self.stacks[account, where.region, StackName]["TemplateBody"])}
        found, _overrides = self._of_stack(StackName, Target(account, where.region))
        return {"TemplateBody": json.loads(found.template)}  # as boto3 has it, a copy for each that asks

    def _cloudformation_CreateChangeSet(self, _where: Session, **request: Any) -> Json:
        self._change_sets[request["ChangeSetName"]] = request
        return {}

    def _cloudformation_DescribeChangeSet(self, _where: Session, **_: Any) -> Json:
        return {"Status": "CREATE_COMPLETE"}

    def _cloudformation_ExecuteChangeSet(self, where: Session, StackName: str, ChangeSetName: str, **_: Any) -> Json:
        made = self._change_sets.pop(ChangeSetName)
        told = {"StackId": StackName, "StackName": StackName, "StackStatus": "CREATE_COMPLETE"}
        told |= {"Parameters": made["Parameters"], "Tags": made.get("Tags", [])}
        account = where.role.account if where.role else self._administrator
        self.stacks[account, where.region, StackName] = {**told, "TemplateBody": made["TemplateBody"]}
        return {}

    def _cloudformation_DeleteStack(self, where: Session, StackName: str) -> Json:
        account = where.role.account if where.role else self._administrator
        self.stacks[account, where.region, StackName]["StackStatus"] = "DELETE_COMPLETE"
        return {}

    def _cloudformation_DeleteChangeSet(self, _where: Session, **_: Any) -> Json:
        raise NotFound("what was executed is gone")

    def _cloudformation_ListStacks(self, where: Session, NextToken: str = "", **_: Any) -> Json:
        account = where.role.account if where.role else self._administrator
        if not NextToken:
            here = (name for owner, region, name in self.stacks if (owner, region) == (account, where.region))
            self._listed = sorted(here)
        page = self._page("ListStacks", self._listed, NextToken)
        page["Summaries"] = [{"StackName": name, "StackStatus": "CREATE_COMPLETE"} for name in page["Summaries"]]
        page["StackSummaries"] = page.pop("Summaries")
        return page

    def _cloudformation_ListStackResources(self, _where: Session, **_: Any) -> Json:
        task = {"LogicalResourceId": "Task", "ResourceType": "AWS::DMS::ReplicationTask"}
        task |= {"PhysicalResourceId": "arn:of-a-task", "ResourceStatus": "CREATE_COMPLETE"}
        return {"StackResourceSummaries": [task]}

    def _dms_DescribeReplicationTasks(self, _where: Session, **_: Any) -> Json:
        return {"ReplicationTasks": [{"Status": "stopped"}]}

    def _s3_GetObject(self, _where: Session, Bucket: str, Key: str, **_owner: str) -> Json:
        if (Bucket, Key) not in self.objects:
            raise NotFound(f"there is no {Key}")
        body, tag = self.objects[Bucket, Key]
        return {"Body": io.BytesIO(body), "ETag": tag}

    def _s3_HeadObject(self, _where: Session, Bucket: str, Key: str, **_owner: str) -> Json:
        if (Bucket, Key) not in self.objects:
            raise NotFound(f"there is no {Key}")
        return {}

    def _s3_PutObject(self, _where: Session, Bucket: str, Key: str, Body: bytes, **condition: str) -> Json:
        present = self.objects.get((Bucket, Key))
        if ("IfNoneMatch" in condition and present) or condition.get("IfMatch", present and present[1]) != (
            present and present[1]
        ):
            raise Conflict(f"{Key} is another")
        tag = hashlib.sha256(Body).hexdigest()
        self.objects[Bucket, Key] = Body, tag
        self.written += len(Body)
        return {"ETag": tag}

    def _is_late(self, found: SimulatedSet, target: Target) -> bool:
        return self.clock.now() < found.touched.get(target, -math.inf) + self.late_seconds

    def _define(self, name: str, request: Json) -> None:
        found = self._set(name)
        found.template, found.tags = request["TemplateBody"], request["Tags"]
        found.parameters = _values(request["Parameters"])
        found.roles = {key: request[key] for key in ("AdministrationRoleARN", "ExecutionRoleName") if key in request}

    def _begun(self, name: str, action: str, request: Json) -> list[Target]:
        self._set(name).operations.append((request["OperationId"], action))
        self._set(name).begun[request["OperationId"]] = self.clock.now()
        targets = list(self._set(name).instances)  # an update of the set that names nobody is one of all
        if "Accounts" in request:
            targets = [Target(account, region) for account in request["Accounts"] for region in request["Regions"]]
        self.requested.append((name, action, targets))
        self._set(name).touched.update(dict.fromkeys(targets, self.clock.now()))
        return targets

    def _override(self, name: str, action: str, request: Json) -> None:
        found = self._set(name)
        given = _values(request["ParameterOverrides"]) if request.get("ParameterOverrides") else None
        for target in self._begun(name, action, request):
            before = found.instances[target][1] if target in found.instances else {}
            found.instances[target] = (request["OperationId"], before if given is None else given)
            found.outdated.discard(target)

    def _of_stack(self, stack_id: str, target: Target) -> tuple[SimulatedSet, Mapping[str, str]]:
        name = stack_id.rpartition("stack/StackSet-")[2].partition("/")[0].rpartition("-")[0]
        if name not in self.sets or target not in self.sets[name].instances:
            raise NotFound("no stack", "ValidationError", f"Stack with id {stack_id} does not exist")
        return self.sets[name], self.sets[name].instances[target][1]


def simulated_client(simulation: Simulation) -> Client:
    """The client that a rollout has, with a simulation where boto3 would be."""
    return Client(simulation, Permissions(), "dev", "dev", lambda _account: DEPLOY_ROLE)


def _stack_id(name: str, target: Target) -> str:
    # As long as those of AWS: there are as many of them as there are instances.
    return f"arn:aws:cloudformation:{target.region}:{target.account}:stack/StackSet-{name}-00000000/11111111-2222-3333"


def _pairs(values: Mapping[str, str], kind: str) -> list[Json]:
    return [{f"{kind}Key": key, f"{kind}Value": value} for key, value in values.items()]


def _values(pairs: list[Json]) -> Json:
    return {each["ParameterKey"]: each["ParameterValue"] for each in pairs}
