"""Stack operations: capabilities, replacement, names, tags, snapshots, and how long an answer may take.

Exports that other stacks import.

Properties that ministack's handlers take and then forget, so that no describe call shows them.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from ministack.services import cloudformation, ec2, lambda_svc, s3, sns
from ministack.services.cloudformation import _exports, _stack_events, _stacks, handlers, provisioners, stacks

from builders import resource_types
from builders.cloud.cloudformation import attributes, records
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.patches import replace
from builders.resource_types import Json

HOLD_SECONDS = 10.0
DELETED_STACKS = 500
_CLEANING = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"

_BLOCKING_TYPES = frozenset({"AWS::RDS::DBInstance", "AWS::SecretsManager::RotationSchedule"})


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
        kind = resource_types.load(name)
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
        kind = resource_types.load(name)
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
        kind = resource_types.load(name)
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


def clean_up_told() -> None:
    """ministack deletes what an update replaced or dropped without a word; CloudFormation tells the clean-up
    (user guide, "Understand stack creation events", and the status UPDATE_COMPLETE_CLEANUP_IN_PROGRESS)."""
    before = stacks._delete_resource

    def delete(kind: str, physical_id: str, properties: Mapping[str, Json], name: str, logical_id: str) -> None:
        stack = _stacks[name]
        cleaning = stack["StackStatus"] in ("UPDATE_IN_PROGRESS", _CLEANING)
        if stack["StackStatus"] == "UPDATE_IN_PROGRESS":
            stack["StackStatus"] = _CLEANING
            place = (stack["StackId"], name, name, "AWS::CloudFormation::Stack")
            stacks._add_event(*place, _CLEANING, physical_id=stack["StackId"])
        place = (stack["StackId"], name, logical_id, kind)
        if cleaning:
            stacks._add_event(*place, "DELETE_IN_PROGRESS", physical_id=physical_id)
        before(kind, physical_id, properties, name, logical_id)
        if cleaning:
            stacks._add_event(*place, "DELETE_COMPLETE", physical_id=physical_id)

    stacks._delete_resource = delete


def deleted_stacks_are_forgotten() -> None:
    """Not a mistake of ministack: CloudFormation remembers deleted stacks for 90 days, here it is the last
    `DELETED_STACKS` of an account and region."""
    before = stacks._delete_stack_async

    async def delete(name: str, stack_id: str, *arguments: Any, **more: Any) -> None:
        await before(name, stack_id, *arguments, **more)
        names = {stack["StackId"]: name for name, stack in _stacks.items()}
        gone = [each for each in _stack_events if each not in names or _deleted(names[each])]
        for each in gone[:-DELETED_STACKS]:
            del _stack_events[each]
            _stacks.pop(names.get(each), None)

    replace(stacks, "_delete_stack_async", delete)


def _deleted(name: str) -> bool:
    return bool(_stacks[name]["StackStatus"] == "DELETE_COMPLETE")


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


def properties_of_handled_types() -> None:
    """Give topics their key, buckets their tags, functions their key and their VPC."""
    table: dict[str, Handlers] = provisioners._RESOURCE_HANDLERS
    for name, tell in {
        "AWS::Lambda::Function": _function,
        "AWS::S3::Bucket": _bucket,
        "AWS::SNS::Topic": _topic,
    }.items():
        table[name] = records.around(table[name], after=tell)


def _topic(physical_id: str, properties: Mapping[str, Json]) -> None:
    attributes = sns._topics[physical_id]["attributes"]
    attributes.pop("KmsMasterKeyId", None)
    if properties.get("KmsMasterKeyId"):
        attributes["KmsMasterKeyId"] = properties["KmsMasterKeyId"]


def _bucket(physical_id: str, properties: Mapping[str, Json]) -> None:
    s3._bucket_tags[physical_id] = provisioners._tag_map(properties.get("Tags"))


def _function(physical_id: str, properties: Mapping[str, Json]) -> None:
    function, _, _ = lambda_svc._get_func_record_for_ref(physical_id)
    config = function["config"]
    config["KMSKeyArn"] = properties.get("KmsKeyArn", "")
    config["VpcConfig"] = lambda_svc._vpc_config_with_id(properties.get("VpcConfig"))


def endpoints_of_vpcs() -> None:
    """DescribeVpcEndpoints of ministack leaves out who may pass: the policy, the groups, and whether names resolve."""
    before = ec2._vpce_fields_xml

    def described(endpoint: Mapping[str, Json], tag: str = "item") -> str:
        policy = endpoint.get("PolicyDocument") or ""
        policy = policy if isinstance(policy, str) else json.dumps(policy)
        groups = "".join(f"<item><groupId>{each}</groupId></item>" for each in endpoint.get("SecurityGroupIds") or ())
        more = (
            f"<policyDocument>{escape(policy)}</policyDocument><groupSet>{groups}</groupSet>"
            f"<privateDnsEnabled>{str(bool(endpoint.get('PrivateDnsEnabled'))).lower()}</privateDnsEnabled>"
        )
        text = str(before(endpoint, tag))
        return text.removesuffix(f"</{tag}>") + more + f"</{tag}>" if text.endswith(f"</{tag}>") else text

    ec2._vpce_fields_xml = described
