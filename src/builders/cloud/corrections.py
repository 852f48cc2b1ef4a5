"""What ministack 1.5.33 gets wrong, corrected in one named function each.

Every function replaces one thing of ministack; tests/cloud/test_corrections.py has a test for each that fails when a
newer ministack makes the correction needless. What ministack merely lacks is in the other rooms.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import secrets
import sys
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ministack.core.responses import get_region
from ministack.services import cloudformation, ec2, lambda_svc, rds, s3, secretsmanager
from ministack.services.cloudformation import _exports, _stacks, engine, handlers, provisioners, stacks

from builders.cloud import attributes, schemas
from builders.cloud.records import Handlers, Made
from builders.cloud.schemas import Json
from builders.cloud.strictness import networks

# The customer-visible ids of S3's prefix list (EC2 API, DescribeManagedPrefixLists, read in these regions).
S3_PREFIX_LISTS = {
    "ap-southeast-2": "pl-6ca54005",
    "eu-central-1": "pl-6ea54007",
    "us-east-1": "pl-63a5400a",
    "us-east-2": "pl-7ba54012",
    "us-west-1": "pl-6ba54002",
}

HOLD_SECONDS = 10.0

_BLOCKING_TYPES = frozenset({"AWS::RDS::DBInstance", "AWS::SecretsManager::RotationSchedule"})


def everywhere() -> None:
    """Apply all corrections, once."""
    zones_of_the_region()
    prefix_lists_of_s3()
    blocking_types_off_the_event_loop()
    answers_wait_for_stacks()
    capabilities_always_needed()
    replacement_by_schema()
    named_resources_stay()
    tags_by_schema()
    snapshots_before_replacement()
    exports_in_use_stay()
    generated_passwords()
    logs_exported_by_databases()


def replace(module: Any, name: str, new: Any) -> Any:
    """Put `new` in the place of a function in `module` and wherever CloudFormation imported it by name.

    Return the function that was there.
    """
    old = getattr(module, name)
    for each in list(sys.modules.values()):
        if each is module or (
            getattr(each, "__name__", "").startswith("ministack.services.cloudformation")
            and getattr(each, name, None) is old
        ):
            setattr(each, name, new)
    return old


def zones_of_the_region() -> None:
    """ministack gives every region the zones a, b and c; us-east-1 has six and us-west-1 two."""

    def zones() -> list[str]:
        return networks.zones(get_region())

    def resolve(value: Json, *context: Json) -> Json:
        if isinstance(value, dict) and set(value) == {"Fn::GetAZs"}:
            region = before(value["Fn::GetAZs"], *context) or get_region()
            return zones() if str(region) == get_region() else []
        return before(value, *context)

    def describe(parameters: Mapping[str, Json]) -> Json:
        status, headers, body = describe_before(parameters)
        start, end = body.index(b"<item>"), body.rindex(b"</item>") + len(b"</item>")
        item = body[start : body.index(b"</item>") + len(b"</item>")].decode()
        name, identifier = f"{get_region()}a", ec2._az_id_for_zone_name(f"{get_region()}a")
        items = "".join(
            item.replace(f"<zoneName>{name}<", f"<zoneName>{zone}<").replace(
                f"<zoneId>{identifier}<", f"<zoneId>{ec2._az_id_for_zone_name(zone)}<"
            )
            for zone in zones()
        )
        return status, headers, body[:start] + items.encode() + body[end:]

    before = replace(engine, "_resolve_refs", resolve)
    describe_before = ec2._ACTION_MAP["DescribeAvailabilityZones"]
    ec2._ACTION_MAP["DescribeAvailabilityZones"] = describe


def prefix_lists_of_s3() -> None:
    """ministack makes up the ids of AWS's prefix lists; those of S3 are known."""
    before = ec2._aws_pl_id_from_name

    def known(name: str) -> str:
        region = name.removeprefix("com.amazonaws.").removesuffix(".s3")
        return S3_PREFIX_LISTS.get(region) or str(before(name))

    ec2._aws_pl_id_from_name = known


def blocking_types_off_the_event_loop() -> None:
    """Start databases and call rotation functions on a thread of their own: a function calls this server back."""
    before = stacks._runs_on_worker_thread
    replace(stacks, "_runs_on_worker_thread", lambda kind: kind in _BLOCKING_TYPES or before(kind))


def answers_wait_for_stacks() -> None:
    """Hold the answer of DescribeStacks while the stack is busy, for at most `HOLD_SECONDS`.

    Not a mistake of ministack: the AWS CLI asks once, then sleeps for thirty seconds, and a stack with a database is
    ready here after one.
    """
    before = cloudformation.handle_request

    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        form = parse_qs(body.decode("utf-8", "replace")) if b"Action=DescribeStacks&" in body else {}
        name = form.get("StackName", [""])[0]
        deadline = time.monotonic() + HOLD_SECONDS
        while name and time.monotonic() < deadline:
            stack = handlers._resolve_stack(name)
            if not stack or not stack["StackStatus"].endswith("_IN_PROGRESS"):
                break
            if stack["StackStatus"] == "REVIEW_IN_PROGRESS":
                break
            await asyncio.sleep(0.02)
        return await before(method, path, headers, body, query)

    cloudformation.handle_request = handle


def capabilities_always_needed() -> None:
    """ministack asks for CAPABILITY_IAM and CAPABILITY_NAMED_IAM only under AUTH=true; AWS always does."""
    replace(handlers, "_capabilities_enforced", lambda: True)


def replacement_by_schema() -> None:
    """ministack knows which properties replace a resource for some types only; the schemas know it for all."""
    before = provisioners._property_recreation

    def recreation(name: str, property_name: str) -> str:
        kind = schemas.load(name)
        if kind is None or name in provisioners._REPLACING_PROPERTIES:
            return str(before(name, property_name))
        if property_name in kind.create_only:
            return "Always"
        nested = any(path.startswith(f"{property_name}.") for path in kind.create_only)
        conditional = kind.schema.get("conditionalCreateOnlyProperties", ())
        return "Conditionally" if nested or f"/properties/{property_name}" in conditional else "Never"

    replace(provisioners, "_property_recreation", recreation)


def named_resources_stay() -> None:
    """ministack refuses to replace a named resource for some types only; CloudFormation does for every type."""
    before = provisioners._custom_named_replacement_error

    def refusal(
        name: str, old: Mapping[str, Json], new: Mapping[str, Json], physical_id: str | None = None
    ) -> str | None:
        known: str | None = before(name, old, new, physical_id)
        kind = schemas.load(name)
        if known or kind is None or name in provisioners._CUSTOM_NAME_REPLACEMENT:
            return known
        given = attributes.given_name(kind, old)
        if given and given == attributes.given_name(kind, new) and provisioners._replacing_change(name, old, new):
            return (
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
                f"Rename {given} and update the stack again."
            )
        return None

    replace(provisioners, "_custom_named_replacement_error", refusal)


class _TagProperties(dict[str, tuple[str, str]]):
    """ministack's table of tag properties, and the schemas' for the types that it lacks."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return (property, "list" or "map") of a type that takes tags."""
        if name in self:
            return self[name]
        kind = schemas.load(name)
        tagging = kind.schema.get("tagging") if kind else None
        if kind is None or not tagging or not tagging.get("taggable") or not tagging.get("cloudFormationSystemTags"):
            return default
        path = str(tagging.get("tagProperty", "/properties/Tags")).removeprefix("/properties/")
        shape = "list" if kind.definition(path).get("type") == "array" else "map"
        self[name] = (path, shape)
        return self[name]


def tags_by_schema() -> None:
    """Give stack tags and the three `aws:cloudformation:` tags to every type whose schema takes them."""
    table = _TagProperties(provisioners._STACK_TAG_PROPERTY)
    replace(provisioners, "_STACK_TAG_PROPERTY", table)


_last_policy: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("last_policy", default=("", ""))


def snapshots_before_replacement() -> None:
    """ministack takes no snapshot for UpdateReplacePolicy: Snapshot, and gives every snapshot of one instance the
    same name; CloudFormation's names end in random characters."""
    policy_before, delete_before = stacks._resource_policy, stacks._delete_resource

    def policy(definition: Json, attribute: str, *context: Json) -> str:
        value = str(policy_before(definition, attribute, *context))
        _last_policy.set((attribute, value))
        return value

    def delete(kind: str, physical_id: str, properties: Mapping[str, Json], *context: Json) -> None:
        if _last_policy.get() == ("UpdateReplacePolicy", "Snapshot"):
            provisioners._snapshot_resource(kind, physical_id, properties)
        delete_before(kind, physical_id, properties, *context)

    replace(stacks, "_resource_policy", policy)
    stacks._delete_resource = delete
    provisioners._snapshot_id = lambda physical_id: f"{physical_id}-snapshot-{secrets.token_hex(6)}"


def exports_in_use_stay() -> None:
    """ministack lets an update change or drop an export that another stack imports, keeps dropped exports, and lets
    two stacks export one name."""
    before = stacks._resolve_stack_outputs

    def resolve(*arguments: Json) -> Json:
        outputs, exports = before(*arguments)
        stack_id = arguments[-1]
        for name in exports:
            owner = _exports.get(name)
            if owner and owner["StackId"] != stack_id:
                other = owner["StackId"].split("/")[1]
                raise ValueError(f"Export with name {name} is already exported by stack {other}. ")
        for name, export in list(_exports.items()):
            if export["StackId"] != stack_id or exports.get(name, {}).get("Value") == export["Value"]:
                continue
            users = _importers(name, stack_id)
            if users:
                verb = "updated" if name in exports else "deleted"
                raise ValueError(f"Export {name} cannot be {verb} as it is in use by {', '.join(users)}")
            if name not in exports:
                _exports.pop(name)
        return outputs, exports

    replace(stacks, "_resolve_stack_outputs", resolve)


def _importers(export: str, stack_id: str) -> list[str]:
    return sorted(
        name
        for name, stack in _stacks.items()
        if stack["StackId"] != stack_id
        and stack["StackStatus"] not in ("DELETE_COMPLETE", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS")
        and export in handlers._imported_export_names(stack, name)
    )


def generated_passwords() -> None:
    """ministack heeds only the length and the excluded characters of GenerateSecretString, and draws from `random`."""

    def secret_string(properties: Mapping[str, Json]) -> str:
        wanted = properties.get("GenerateSecretString")
        if wanted is None:
            return str(properties.get("SecretString", ""))
        template, key = wanted.get("SecretStringTemplate"), wanted.get("GenerateStringKey")
        if bool(template) != bool(key):
            raise ValueError("SecretStringTemplate and GenerateStringKey must be given together")
        status, _, body = secretsmanager._get_random_password(wanted)
        answer = json.loads(body)
        if status >= 400:
            raise ValueError(str(answer.get("message", answer)))
        if not template:
            return str(answer["RandomPassword"])
        try:
            fields = json.loads(template)
        except ValueError as error:
            raise ValueError(f"SecretStringTemplate is not JSON: {error}") from error
        return json.dumps({**fields, key: answer["RandomPassword"]})

    provisioners._sm_secret_string = secret_string


def secrets_by_arn(inner: Handlers) -> Handlers:
    """Ref of AWS::SecretsManager::Secret is the ARN; ministack returns the name. A taken name is refused."""

    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        name = properties.get("Name")
        taken = secretsmanager._secrets.get(name) if name else None
        if taken and taken.get("DeletedDate"):
            raise ValueError(
                "You can't create this secret because a secret with this name is already scheduled for deletion."
            )
        if taken:
            raise ValueError(f"The operation failed because the secret {name} already exists.")
        _, known = inner["create"](logical_id, properties, stack)
        return known["Arn"], known

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        name, _ = secretsmanager._resolve(physical_id)
        _, known = inner["update"](name or physical_id, old, new, stack, logical_id)
        return known["Arn"], known

    def delete(physical_id: str, properties: Mapping[str, Json]) -> None:
        name, _ = secretsmanager._resolve(physical_id)
        inner["delete"](name or physical_id, properties)

    return {**inner, "create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def functions_with_code(inner: Handlers) -> Handlers:
    """ministack makes a function without code where the package is not in the bucket; Lambda refuses it."""

    def check(properties: Mapping[str, Json]) -> None:
        code = properties.get("Code") or {}
        bucket, key = code.get("S3Bucket"), code.get("S3Key")
        if not bucket:
            return
        if bucket not in s3._buckets:
            reason = ("NoSuchBucket", "The specified bucket does not exist")
        elif lambda_svc._fetch_code_from_s3(bucket, key, version_id=code.get("S3ObjectVersion")) is None:
            reason = ("NoSuchKey", "The specified key does not exist.")
        else:
            return
        if lambda_svc.s3_code_region_message(bucket) is None:
            raise ValueError(
                f"Error occurred while GetObject. S3 Error Code: {reason[0]}. S3 Error Message: {reason[1]}"
            )

    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        check(properties)
        made: Made = inner["create"](logical_id, properties, stack)
        return made

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        check(new)
        made: Made = inner["update"](physical_id, old, new, stack, logical_id)
        return made

    return {**inner, "create": create, "update": update, "update_with_logical_id": True}


def logs_exported_by_databases() -> None:
    """DescribeDBInstances of ministack leaves out the exported logs, the key of Performance Insights, and more."""
    before = rds._instance_xml

    def described(instance: Mapping[str, Json]) -> str:
        text = str(before(instance))
        logs = "".join(f"<member>{name}</member>" for name in instance.get("EnableCloudwatchLogsExports") or ())
        more = f"<EnabledCloudwatchLogsExports>{logs}</EnabledCloudwatchLogsExports>"
        for name in ("PerformanceInsightsKMSKeyId", "EngineLifecycleSupport"):
            if instance.get(name):
                more += f"<{name}>{instance[name]}</{name}>"
        return text.replace("<EnabledCloudwatchLogsExports/>", more)

    rds._instance_xml = described
