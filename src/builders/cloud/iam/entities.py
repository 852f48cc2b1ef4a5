"""Groups, memberships, access keys and inline policies of templates in IAM itself, and attachments of what is there.

Sources: IAM API reference, AttachRolePolicy, AttachUserPolicy, AttachGroupPolicy; CloudFormation template reference,
AWS::IAM::Group, AWS::IAM::UserToGroupAddition, AWS::IAM::AccessKey, AWS::IAM::RolePolicy. The sentences are those of
recorded answers of AWS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.iam.checks import policy_exists
from builders.cloud.internals import iam
from builders.cloud.patches import patch, patch_value
from builders.resource_types import Json

Properties = Mapping[str, Json]
_WHY = "a policy that does not exist is attached"


def handlers() -> dict[str, Handlers]:
    """Return the handlers of the types of IAM that ministack keeps no entity for."""
    inline = {
        "AWS::IAM::GroupPolicy": ("GroupName", "Group"),
        "AWS::IAM::RolePolicy": ("RoleName", "Role"),
        "AWS::IAM::UserPolicy": ("UserName", "User"),
    }
    return {
        "AWS::IAM::AccessKey": _access_key(),
        "AWS::IAM::Group": _group(),
        "AWS::IAM::UserToGroupAddition": _membership(),
        **{name: _inline_policy(name, *each) for name, each in inline.items()},
    }


def call(action: str, **parameters: str) -> str:
    """Call an operation of IAM and return its answer. Raises ValueError with its sentence."""
    status, _, body = iam.actions[action]({name: [value] for name, value in parameters.items()})
    text = str(body.decode() if isinstance(body, bytes) else body)
    if status >= 400:
        message, code = (re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S) for tag in ("Message", "Code"))
        raise ValueError(
            f"{message[1] if message else text} (Service: Iam, Status Code: {status}, "
            f"Error Code: {code[1] if code else 'Unknown'})"
        )
    return text


@patch("ministack.services.iam._IAM_HANDLERS[AttachRolePolicy]", why=_WHY)
def _attach_role_policy(original: Any, parameters: Mapping[str, Json]) -> Json:
    return _refuse_attachment(parameters) or original(parameters)


@patch("ministack.services.iam._IAM_HANDLERS[AttachUserPolicy]", why=_WHY)
def _attach_user_policy(original: Any, parameters: Mapping[str, Json]) -> Json:
    return _refuse_attachment(parameters) or original(parameters)


@patch("ministack.services.iam._IAM_HANDLERS[AttachGroupPolicy]", why=_WHY)
def _attach_group_policy(original: Any, parameters: Mapping[str, Json]) -> Json:
    return _refuse_attachment(parameters) or original(parameters)


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::IAM::InstanceProfile]",
    why="Ref of an instance profile is its ARN, not its name",
)
def _profiles_by_name(inner: Handlers) -> Handlers:
    def arn_of(name: str) -> str:
        return str((iam.instance_profiles.get(name) or {"Arn": name})["Arn"])

    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        arn, attributes = inner["create"](logical_id, properties, stack)
        return arn.rpartition("/")[2], attributes

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        arn, attributes = inner["update"](arn_of(physical_id), old, new, stack, logical_id)
        return arn.rpartition("/")[2], attributes

    def delete(physical_id: str, properties: Properties) -> None:
        inner["delete"](arn_of(physical_id), properties)

    return {**inner, "create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def _refuse_attachment(parameters: Mapping[str, Json]) -> Json:
    arn = str((parameters.get("PolicyArn") or [""])[0])
    if not arn.startswith("arn:"):
        return iam.error(400, "ValidationError", "Invalid ARN:  Could not be parsed!", ns="iam")
    if not policy_exists(arn):
        return iam.error(404, "NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", ns="iam")
    return None


def _group() -> Handlers:
    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        name = str(properties.get("GroupName") or iam.physical_name(stack, logical_id, max_len=128))
        call("CreateGroup", GroupName=name, Path=str(properties.get("Path") or "/"))
        try:
            _follow(name, {}, properties)
        except ValueError:
            delete(name, properties)
            raise
        return name, {"Arn": iam.groups[name]["Arn"]}

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        if (new.get("GroupName") or physical_id) != physical_id or physical_id not in iam.groups:
            return create(logical_id, new, stack)
        _follow(physical_id, old, new)
        path = new.get("Path") or "/"
        group = iam.groups[physical_id]
        group |= {"Path": path, "Arn": f"{group['Arn'].split(':group')[0]}:group{path}{physical_id}"}
        return physical_id, {"Arn": group["Arn"]}

    def delete(physical_id: str, _properties: Properties) -> None:
        if physical_id in iam.groups:
            for arn in list(iam.groups[physical_id].get("AttachedPolicies") or ()):
                call("DetachGroupPolicy", GroupName=physical_id, PolicyArn=arn)
            iam.group_policies.pop(physical_id, None)
            iam.groups[physical_id]["Users"] = []
            call("DeleteGroup", GroupName=physical_id)

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def _follow(name: str, old: Properties, new: Properties) -> None:
    """Bring the managed and inline policies of a group to what the template says."""
    before, after = (list(each.get("ManagedPolicyArns") or ()) for each in (old, new))
    for arn in before:
        if arn not in after:
            call("DetachGroupPolicy", GroupName=name, PolicyArn=arn)
    for arn in after:
        if arn not in before:
            call("AttachGroupPolicy", GroupName=name, PolicyArn=arn)
    kept = {each["PolicyName"] for each in new.get("Policies") or ()}
    for each in old.get("Policies") or ():
        if each["PolicyName"] not in kept:
            call("DeleteGroupPolicy", GroupName=name, PolicyName=each["PolicyName"])
    for each in new.get("Policies") or ():
        call("PutGroupPolicy", GroupName=name, PolicyName=each["PolicyName"], PolicyDocument=_text(each))


def _text(policy: Properties) -> str:
    document = policy["PolicyDocument"]
    return document if isinstance(document, str) else json.dumps(document)


def _membership() -> Handlers:
    def change(group: str, users: Iterable[str], action: str) -> None:
        for user in users:
            call(action, GroupName=group, UserName=user)

    def add(properties: Properties) -> None:
        change(str(properties["GroupName"]), properties["Users"], "AddUserToGroup")

    def remove(properties: Properties) -> None:
        group = iam.groups.get(properties["GroupName"]) or {"Users": ()}
        change(str(properties["GroupName"]), [each for each in properties["Users"] if each in group["Users"]],
               "RemoveUserFromGroup")  # fmt: skip

    return _linked("AWS::IAM::UserToGroupAddition", add, remove)


def _inline_policy(name: str, member: str, kind: str) -> Handlers:
    def add(properties: Properties) -> None:
        names = {member: str(properties[member]), "PolicyName": str(properties["PolicyName"])}
        if properties.get("PolicyDocument") is not None:
            call(f"Put{kind}Policy", **names, PolicyDocument=_text(properties))

    def remove(properties: Properties) -> None:
        store = {"Role": iam.roles, "User": iam.users, "Group": iam.groups}[kind]
        if properties[member] in store:
            names = {member: str(properties[member]), "PolicyName": str(properties["PolicyName"])}
            call(f"Delete{kind}Policy", **names)

    return _linked(name, add, remove)


def _linked(name: str, add: Callable[[Properties], None], remove: Callable[[Properties], None]) -> Handlers:
    """Return handlers of a type that changes an entity: `add` does it, `remove` undoes it."""
    inner = records.handlers(name)

    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        add(properties)
        made: Made = inner["create"](logical_id, properties, stack)
        return made

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        remove(old)
        add(new)
        made: Made = inner["update"](physical_id, old, new, stack, logical_id)
        return made

    def delete(physical_id: str, properties: Properties) -> None:
        remove(properties)
        inner["delete"](physical_id, properties)

    return {**inner, "create": create, "update": update, "delete": delete}


def _access_key() -> Handlers:
    def create(_logical_id: str, properties: Properties, _stack: str) -> Made:
        answer = call("CreateAccessKey", UserName=str(properties["UserName"]))
        key, secret = (re.findall(rf"<{tag}>(.*?)</{tag}>", answer)[0] for tag in ("AccessKeyId", "SecretAccessKey"))
        iam.access_keys[key]["Status"] = properties.get("Status") or "Active"
        return key, {"Id": key, "SecretAccessKey": secret}

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        if old.get("UserName") != new["UserName"] or old.get("Serial") != new.get("Serial"):
            return create(logical_id, new, stack)
        key = iam.access_keys[physical_id]
        key["Status"] = new.get("Status") or "Active"
        return physical_id, {"Id": physical_id, "SecretAccessKey": key["SecretAccessKey"]}

    def delete(physical_id: str, _properties: Properties) -> None:
        iam.access_keys.pop(physical_id, None)

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}
