"""Stack operations where ministack's differ from CloudFormation's: capabilities, replacement, tags, snapshots, exports,
what is left of deleted stacks, and how long an answer may take.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ministack.core.responses import now_iso
from ministack.services.cloudformation import custom_resource

from builders import resource_types
from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.internals import cloudformation, entries, sns
from builders.cloud.patches import patch, patch_value
from builders.resource_types import Json

HOLD_SECONDS = 10.0
DELETED_STACKS = 500
_CLEANING_UP = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
_BLOCKING_TYPES = frozenset({"AWS::RDS::DBInstance", "AWS::SecretsManager::RotationSchedule"})

_last_policy: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("last_policy", default=("", ""))


@patch(
    "ministack.services.cloudformation.stacks._runs_on_worker_thread",
    why="databases and rotations are made on the event loop, and a rotation's function calls this server back",
)
def _runs_on_worker_thread(original: Any, kind: str) -> bool:
    return kind in _BLOCKING_TYPES or original(kind)


@patch(
    "ministack.services.cloudformation.handle_request",
    why="the AWS CLI asks for a busy stack once, then sleeps for 30 seconds, and a stack with a database is ready here "
    "after one: DescribeStacks answers when the stack is at rest, after HOLD_SECONDS at the latest",
)
async def _handle_request(original: Any, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
    form = parse_qs(body.decode("utf-8", "replace")) if b"Action=DescribeStacks&" in body else {}
    name = form.get("StackName", [""])[0]
    deadline = time.monotonic() + HOLD_SECONDS
    while name and time.monotonic() < deadline:
        stack = cloudformation.find_stack(name)
        if not stack or not stack["StackStatus"].endswith("_IN_PROGRESS"):
            break
        if stack["StackStatus"] == "REVIEW_IN_PROGRESS":
            break
        await asyncio.sleep(0.02)
    return await original(method, path, headers, body, query)


@patch(
    "ministack.services.cloudformation.handlers._capabilities_enforced",
    why="CAPABILITY_IAM and CAPABILITY_NAMED_IAM are needed only under AUTH=true; AWS needs them always",
)
def _capabilities_enforced(_original: Any) -> bool:
    return True


@patch(
    "ministack.services.cloudformation.provisioners._property_recreation",
    why="which properties replace a resource is known for some types only; the schemas know it for all",
)
def _property_recreation(original: Any, name: str, property_name: str) -> str:
    kind = resource_types.load(name)
    if kind is None or name in cloudformation.replacing_properties:
        return str(original(name, property_name))
    if property_name in kind.create_only:
        return "Always"
    nested = any(path.startswith(f"{property_name}.") for path in kind.create_only)
    conditional = kind.schema.get("conditionalCreateOnlyProperties", ())
    return "Conditionally" if nested or f"/properties/{property_name}" in conditional else "Never"


@patch(
    "ministack.services.cloudformation.provisioners._custom_named_replacement_error",
    why="the replacement of a named resource is refused for some types only; CloudFormation refuses it for all",
)
def _custom_named_replacement_error(
    original: Any, name: str, old: Mapping[str, Json], new: Mapping[str, Json], physical_id: str | None = None
) -> str | None:
    refusal: str | None = original(name, old, new, physical_id)
    kind = resource_types.load(name)
    if refusal or kind is None or name in cloudformation.custom_name_replacement:
        return refusal
    given = old.get(kind.name_property) if kind.name_property else None
    if given and given == new.get(kind.name_property) and cloudformation.replacing_change(name, old, new):
        return (
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
            f"Rename {given} and update the stack again."
        )
    return None


@patch_value(
    "ministack.services.cloudformation.provisioners._STACK_TAG_PROPERTY",
    why="stack tags and the three aws:cloudformation: tags go to some types only, not to all whose schema takes them",
)
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


@patch(
    "ministack.services.cloudformation.provisioners._tag_map",
    why="a tag whose value is a boolean of YAML is True or False, and has drifted at once",
)
def _tag_map(original: Any, tags: Json) -> Json:
    def texts(node: Json) -> Json:
        if isinstance(node, dict):
            return {key: texts(value) for key, value in node.items()}
        return str(node).lower() if isinstance(node, bool) else node

    return original([texts(each) for each in tags] if isinstance(tags, list) else texts(tags))


@patch(
    "ministack.services.cloudformation.provisioners._with_stack_tags",
    why="the tags that a group of EC2 Auto Scaling gets from its stack lack PropagateAtLaunch, which it needs",
)
def _with_stack_tags(original: Any, name: str, properties: Mapping[str, Json], *more: Json) -> Json:
    result = original(name, properties, *more)
    if name != "AWS::AutoScaling::AutoScalingGroup":
        return result
    own = properties.get("Tags") or []
    tags = [each if each in own else {**each, "PropagateAtLaunch": True} for each in result.get("Tags") or ()]
    return {**result, "Tags": tags}


@patch(
    "ministack.services.cloudformation.stacks._resource_policy",
    why="the deletion of a replaced resource does not know that its UpdateReplacePolicy is Snapshot",
)
def _resource_policy(original: Any, definition: Json, attribute: str, *context: Json) -> str:
    policy = str(original(definition, attribute, *context))
    _last_policy.set((attribute, policy))
    return policy


@patch(
    "ministack.services.cloudformation.stacks._delete_resource",
    why="no snapshot is taken before a replaced resource with UpdateReplacePolicy Snapshot is deleted",
)
def _delete_after_snapshot(
    original: Any, kind: str, physical_id: str, properties: Mapping[str, Json], *context: Json
) -> None:
    if _last_policy.get() == ("UpdateReplacePolicy", "Snapshot"):
        cloudformation.take_snapshot(kind, physical_id, properties)
    original(kind, physical_id, properties, *context)


@patch(
    "ministack.services.cloudformation.provisioners._snapshot_id",
    why="all snapshots of one instance have the same name; CloudFormation's end in random characters",
)
def _snapshot_id(_original: Any, physical_id: str) -> str:
    return f"{physical_id}-snapshot-{secrets.token_hex(6)}"


@patch(
    "ministack.services.cloudformation.stacks._delete_resource",
    why="what an update replaced or dropped is deleted without events and without the status of the clean-up (user "
    'guide, "Understand stack creation events")',
)
def _delete_with_events(
    original: Any, kind: str, physical_id: str, properties: Mapping[str, Json], name: str, logical_id: str
) -> None:
    stack = cloudformation.stacks[name]
    cleaning_up = stack["StackStatus"] in ("UPDATE_IN_PROGRESS", _CLEANING_UP)
    if stack["StackStatus"] == "UPDATE_IN_PROGRESS":
        stack["StackStatus"] = _CLEANING_UP
        of_stack = (stack["StackId"], name, name, "AWS::CloudFormation::Stack")
        cloudformation.add_event(*of_stack, _CLEANING_UP, physical_id=stack["StackId"])
    of_resource = (stack["StackId"], name, logical_id, kind)
    if cleaning_up:
        cloudformation.add_event(*of_resource, "DELETE_IN_PROGRESS", physical_id=physical_id)
    original(kind, physical_id, properties, name, logical_id)
    if cleaning_up:
        cloudformation.add_event(*of_resource, "DELETE_COMPLETE", physical_id=physical_id)


@functools.cache
def _deletions() -> Counter[str]:
    """Count deleted stacks by account and region, from those on that an earlier server kept. Its callers go on."""
    stacks = entries(cloudformation.stacks).values()
    return Counter(_account(each["StackId"]) for each in stacks if each["StackStatus"] == "DELETE_COMPLETE")


def _account(stack_id: str) -> str:
    """The part of a stack's ARN that says its account and region."""
    return stack_id.partition(":stack/")[0]


@patch(
    "ministack.services.cloudformation.stacks._delete_stack_async",
    why="a deleted stack is found by its name, until that is used again and no longer by its id then, without the time "
    "of its deletion, and remembered for ever; CloudFormation forgets it after 90 days, here the last DELETED_STACKS "
    "of an account and region are remembered",
)
async def _delete_and_forget(original: Any, name: str, stack_id: str, *arguments: Any, **more: Any) -> None:
    stack = cloudformation.stacks.get(name)
    if stack is not None:
        stack["DeletionTime"] = now_iso()
    await original(name, stack_id, *arguments, **more)
    if stack is not None and stack["StackStatus"] == "DELETE_COMPLETE" and cloudformation.stacks.get(name) is stack:
        del cloudformation.stacks[name]
        cloudformation.stacks[stack_id] = stack
    deletions, account = _deletions(), _account(stack_id)
    deletions[account] += 1
    if deletions[account] <= DELETED_STACKS:
        return  # what follows goes through the stacks of all accounts
    names = {stack["StackId"]: name for name, stack in cloudformation.stacks.items()}
    deleted = [
        each
        for each in cloudformation.stack_events
        if each not in names or cloudformation.stacks[names[each]]["StackStatus"] == "DELETE_COMPLETE"
    ]
    for each in deleted[:-DELETED_STACKS]:
        del cloudformation.stack_events[each]
        cloudformation.stacks.pop(names.get(each), None)


@patch(
    "ministack.services.cloudformation.stacks._resolve_stack_outputs",
    why="an update may change or drop an export that another stack imports, dropped exports stay, and two stacks may "
    "export one name",
)
def _resolve_stack_outputs(original: Any, *arguments: Json) -> Json:
    outputs, exports = original(*arguments)
    stack_id = arguments[-1]
    for name in exports:
        owner = cloudformation.exports.get(name)
        if owner and owner["StackId"] != stack_id:
            other = owner["StackId"].split("/")[1]
            raise ValueError(f"Export with name {name} is already exported by stack {other}. ")
    for name, export in list(cloudformation.exports.items()):
        if export["StackId"] != stack_id or exports.get(name, {}).get("Value") == export["Value"]:
            continue
        users = importers(name, stack_id)
        if users:
            verb = "updated" if name in exports else "deleted"
            raise ValueError(f"Export {name} cannot be {verb} as it is in use by {', '.join(users)}")
        if name not in exports:
            cloudformation.exports.pop(name)
    return outputs, exports


def importers(export: str, stack_id: str) -> list[str]:
    """Return the names of the other stacks that import an export."""
    return sorted(
        name
        for name, stack in cloudformation.stacks.items()
        if stack["StackId"] != stack_id
        and stack["StackStatus"] not in ("DELETE_COMPLETE", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS")
        and export in cloudformation.imported_export_names(stack, name)
    )


@patch(
    "ministack.services.lambda_svc._execute_function_with_config_scope",
    why="where the function of a custom resource ends in an error, the stack waits an hour for an answer that nobody "
    "gives, as CloudFormation does; here the resource fails at once, with CloudFormation's words",
)
def _fail_silent_custom_resource(original: Any, function: Mapping[str, Json], event: Json) -> Json:
    result = original(function, event)
    url = str(event.get("ResponseURL", "")) if isinstance(event, dict) else ""
    if url and result.get("error"):
        token = url.rsplit("/", 1)[-1]
        waiting = cloudformation.pending_custom_resources.get(token)
        if waiting and waiting["result"] is None:
            reason = (
                "CloudFormation did not receive a response from your custom resource. Please check your logs for "
                f"requestId [{event['RequestId']}]. The function ended with: {result.get('body')}"
            )
            custom_resource.deliver_response(token, {"Status": "FAILED", "Reason": reason})
    return result


_ANSWERS = "/_ministack/cfn-response/"
_ANSWER_BYTES = 4096
"""CloudFormation user guide, "Custom resource response objects": the total size of the response body."""


@patch(
    "ministack.services.cloudformation.custom_resource._gateway_url",
    why="a custom resource is to answer to another name of the server than the one that functions know as AWS",
)
def _gateway_url(_original: Any) -> str:
    return os.environ["AWS_ENDPOINT_URL"]


@patch(
    "ministack.app._handle_post_body_shortcuts",
    why="an answer of a custom resource may be of any size; CloudFormation refuses what is too long, and with it hides "
    "the reason in it",
)
async def _refuse_long_answer(original: Any, method: str, path: str, headers: Json, body: bytes, *more: Json) -> Json:
    if method == "PUT" and path.startswith(_ANSWERS) and len(body) > _ANSWER_BYTES:
        body = json.dumps({"Status": "FAILED", "Reason": "Response object is too long."}).encode()
    return await original(method, path, headers, body, *more)


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::SNS::Topic]",
    why="the key of a topic is forgotten",
)
def _topics_with_keys(inner: Handlers) -> Handlers:
    def set_key(physical_id: str, properties: Mapping[str, Json]) -> None:
        topic = sns.topics[physical_id]["attributes"]
        topic.pop("KmsMasterKeyId", None)
        if properties.get("KmsMasterKeyId"):
            topic["KmsMasterKeyId"] = properties["KmsMasterKeyId"]

    return records.around(inner, after=set_key)
