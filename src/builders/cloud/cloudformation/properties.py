"""Resolved properties against the registry's schema, before a resource is made or changed.

CloudFormation reports a violation as `#/path: what is wrong`, one line each (seen in stack events of registry types).

Ids in properties, of any type: what they name must be there and visible, or EC2 refuses.

EC2's ids say by their prefix what they name (EC2 user guide, "Resource IDs"); the sentences are those of EC2 API
reference, "Error codes".

Which check looks at which type, beside the schema.

The checks in front of every resource handler, and the attributes behind it that ministack forgets.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cfnlint.jsonschema import ValidationError
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import ec2

from builders import resource_types
from builders.cloud.cloudformation import attributes, records
from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.ec2 import checks as ec2_checks
from builders.cloud.iam import authorization, checks as iam_checks
from builders.cloud.rds import checks
from builders.cloud.server import faults
from builders.resource_types import Json, ResourceType

_TYPE_NAMES = {"array": "JSONArray", "object": "JSONObject"}
_IGNORED_KEYWORDS = frozenset({"format"})
"""cfn-lint's own formats (`AWS::EC2::VPC.Id`): CloudFormation does not check them, the service does."""


def check_properties(kind: ResourceType, logical_id: str, properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return the properties as the schema types them. Raises ValueError with CloudFormation's reason."""
    own = _without_system_tags(kind, properties)
    typed: dict[str, Json] = coerce(kind, own, kind.schema)
    violations = sorted({line for error in kind.validator.iter_errors(typed) for line in _describe(error)})
    violations += [f"#: extraneous key [{key}] is not permitted" for key in own if key in kind.read_only]
    if violations:
        raise ValueError(
            f"Properties validation failed for resource {logical_id} with message:\n" + "\n".join(violations)
        )
    result = dict(properties) | typed
    tags = _tag_property(kind)
    if tags in properties:
        result[tags] = properties[tags]
    return result


def coerce(kind: ResourceType, value: Json, node: Mapping[str, Json]) -> Json:
    """Return `value` with scalars as the schema types them: CloudFormation takes "5" for 5 and true for "true"."""
    node = kind.resolve(node)
    if isinstance(value, dict):
        members = node.get("properties", {})
        others = node.get("additionalProperties")
        patterns = list(node.get("patternProperties", {}).values())
        fallback = others if isinstance(others, dict) else patterns[0] if len(patterns) == 1 else {}
        return {key: coerce(kind, item, members.get(key, fallback)) for key, item in value.items()}
    if isinstance(value, list):
        return [coerce(kind, item, node.get("items", {})) for item in value]
    types = node.get("type", [])
    return _coerce_scalar(value, [types] if isinstance(types, str) else types)


def _coerce_scalar(value: Json, types: list[str]) -> Json:
    if isinstance(value, str) and "string" not in types:
        if "boolean" in types and value.lower() in ("true", "false"):
            return value.lower() == "true"
        for name, convert in (("integer", int), ("number", float)):
            if name in types:
                try:
                    return convert(value)
                except ValueError:
                    continue
    if isinstance(value, (bool, int, float)) and types == ["string"]:
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _describe(error: ValidationError) -> Iterator[str]:
    keyword = str(error.validator)
    if keyword in _IGNORED_KEYWORDS:
        return
    path = [str(part) for part in error.path]
    if keyword == "additionalProperties":
        yield f"{_pointer(path[:-1])}: extraneous key [{path[-1] if path else error.instance}] is not permitted"
    elif keyword == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        for key in missing:
            yield f"{_pointer(path)}: required key [{key}] not found"
    elif keyword == "type":
        expected = error.validator_value if isinstance(error.validator_value, str) else error.validator_value[0]
        expected = _TYPE_NAMES.get(expected, expected.capitalize())
        yield f"{_pointer(path)}: expected type: {expected}, found: {_found(error.instance)}"
    elif keyword in ("enum", "enumCaseInsensitive"):
        yield f"{_pointer(path)}: {error.instance} is not a valid enum value"
    else:
        yield f"{_pointer(path)}: failed validation constraint for keyword [{keyword}]"


def _pointer(path: list[str]) -> str:
    return "/".join(["#", *path])


def _found(instance: Any) -> str:
    names: dict[type, str] = {list: "JSONArray", dict: "JSONObject", bool: "Boolean", int: "Integer", float: "Double"}
    return names.get(type(instance), "String" if isinstance(instance, str) else "Null")


def _tag_property(kind: ResourceType) -> str:
    pointer: str = (kind.schema.get("tagging") or {}).get("tagProperty") or "/properties/Tags"
    return pointer.removeprefix("/properties/")


def _without_system_tags(kind: ResourceType, properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return the properties without the `aws:` tags that CloudFormation itself adds: schemas forbid them."""
    name = _tag_property(kind)
    tags = properties.get(name)
    if isinstance(tags, list):
        tags = [tag for tag in tags if not str(tag.get("Key", "") if isinstance(tag, dict) else "").startswith("aws:")]
    elif isinstance(tags, dict):
        tags = {key: value for key, value in tags.items() if not key.startswith("aws:")}
    else:
        return dict(properties)
    result = {**properties, name: tags}
    if not tags:
        del result[name]
    return result


_ID = re.compile(r"(vpc|subnet|sg|rtb|acl|igw|nat|vgw|vpce|pl|tgw-attach|tgw-rtb|tgw)-[0-9a-z]+")
# Ids of another account's things, which EC2 asks that account about.
_ELSEWHERE = frozenset({"PeerVpcId"})
# Direct Connect takes gateways of other accounts by a proposal; its own errors are not EC2's.
_UNCHECKED = ("AWS::DirectConnect::", "AWS::RDS::")


def check_references(name: str, properties: Mapping[str, Json]) -> None:
    """Refuse an id that names nothing here. Raises ValueError with EC2's sentence."""
    if name.startswith(_UNCHECKED):
        return
    ec2._ensure_defaults_initialized()
    for identifier in _ids(properties):
        match = _ID.fullmatch(identifier)
        if match is None:
            continue
        sentence, known = _STORES[match[1]]
        if identifier not in known():
            raise ValueError(f"{sentence.format(identifier)} (Service: Ec2, Status Code: 400)")


def _ids(node: Json, key: str = "") -> Iterator[str]:
    """Yield the texts under keys that end with Id, Ids or Identifiers."""
    if isinstance(node, Mapping):
        for member, value in node.items():
            if member not in _ELSEWHERE:
                yield from _ids(value, member)
    elif isinstance(node, list):
        for item in node:
            yield from _ids(item, key)
    elif isinstance(node, str) and key.endswith(("Id", "Ids")):
        yield node


def _prefix_lists() -> set[str]:
    return set(ec2._prefix_lists) | {each["PrefixListId"] for each in ec2._get_aws_managed_prefix_lists()}


def _transit_gateways() -> set[str]:
    """The gateways of our account, and those that another account shares with it by RAM."""
    ours = get_account_id()
    visible = set(records.find("AWS::EC2::TransitGateway"))
    for owner in records.accounts("AWS::EC2::TransitGateway") - {ours}:
        with request_scope(owner, get_region()):
            shared = [
                str(principal)
                for share in records.find("AWS::RAM::ResourceShare").values()
                for principal in share["Properties"].get("Principals") or ()
            ]
            if ours in shared or any(":organizations:" in principal for principal in shared):
                visible |= set(records.find("AWS::EC2::TransitGateway"))
    return visible


def _attachments() -> set[str]:
    """The attachments of all accounts: the gateway's owner routes those of others."""
    kinds = ("AWS::EC2::TransitGatewayAttachment", "AWS::EC2::TransitGatewayVpcAttachment",
             "AWS::EC2::TransitGatewayPeeringAttachment")  # fmt: skip
    found: set[str] = set()
    for kind in kinds:
        for account in records.accounts(kind):
            with request_scope(account, get_region()):
                found |= set(records.find(kind))
    return found


# {prefix of an id: (what EC2 says, the ids that there are)}
_STORES: dict[str, tuple[str, Callable[[], Collection[str]]]] = {
    "vpc": ("The vpc ID '{}' does not exist", lambda: ec2._vpcs),
    "subnet": ("The subnet ID '{}' does not exist", lambda: ec2._subnets),
    "sg": ("The security group '{}' does not exist", lambda: ec2._security_groups),
    "rtb": ("The routeTable ID '{}' does not exist", lambda: ec2._route_tables),
    "acl": ("The network ACL '{}' does not exist", lambda: ec2._network_acls),
    "igw": ("The internetGateway ID '{}' does not exist", lambda: ec2._internet_gateways),
    "nat": ("The natGateway ID '{}' does not exist", lambda: ec2._nat_gateways),
    "vgw": ("The vpnGateway ID '{}' does not exist", lambda: ec2._vpn_gateways),
    "vpce": ("The vpcEndpoint ID '{}' does not exist", lambda: ec2._vpc_endpoints),
    "pl": ("The prefix list ID '{}' does not exist", _prefix_lists),
    "tgw": ("Transit Gateway {} was deleted or does not exist.", _transit_gateways),
    "tgw-rtb": (
        "Transit Gateway Route Table {} was deleted or does not exist.",
        lambda: records.find("AWS::EC2::TransitGatewayRouteTable"),
    ),
    "tgw-attach": ("Transit Gateway Attachment {} was deleted or does not exist.", _attachments),
}


Check = Callable[[Mapping[str, Json], str | None], None]
"""Takes the properties and the physical id (None: about to be made). Raises ValueError with the service's sentence."""

_CHECKS: dict[str, Check] = {
    "AWS::DMS::ReplicationSubnetGroup": checks.check_replication_subnet_group,
    "AWS::EC2::SecurityGroup": ec2_checks.check_security_group,
    "AWS::EC2::Subnet": ec2_checks.check_subnet,
    "AWS::EC2::VPC": ec2_checks.check_vpc,
    "AWS::EC2::VPCEndpoint": ec2_checks.check_endpoint,
    "AWS::IAM::ManagedPolicy": iam_checks.check_policy,
    "AWS::IAM::Policy": iam_checks.check_policy,
    "AWS::IAM::Role": iam_checks.check_role,
    "AWS::KMS::Key": iam_checks.check_key,
    "AWS::Lambda::Function": iam_checks.check_function,
    "AWS::Lambda::Permission": iam_checks.check_permission,
    "AWS::Logs::LogGroup": iam_checks.check_log_group,
    "AWS::RDS::DBSubnetGroup": checks.check_subnet_group,
}


def check_type(name: str, properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Run the check of a type, where it has one."""
    if name in _CHECKS:
        _CHECKS[name](properties, physical_id)


logger = logging.getLogger("checking")

Properties = Mapping[str, Json]


def checked(name: str, inner: Handlers) -> Handlers:
    """Return the handlers of a type with the checks in front of them."""
    handlers = _Checked(name, inner)
    ours = {"create": handlers.create, "update": handlers.update, "delete": handlers.delete}
    wrapped: Handlers = {**inner, **{verb: handler for verb, handler in ours.items() if verb in inner}}
    return {**wrapped, "update_with_logical_id": True} if "update" in inner else wrapped


@dataclass(frozen=True)
class _Checked:
    """The handlers of one type: what the template asks is checked, then `inner` does it."""

    name: str
    inner: Handlers

    @property
    def kind(self) -> ResourceType:
        """The type as the registry of the caller's region has it."""
        found = resource_types.load(self.name, get_region())
        assert found is not None
        return found

    def create(self, logical_id: str, properties: Properties, stack: str) -> Made:
        faults.delay_resource()
        authorization.check_deployment(self.name, "create", logical_id)
        typed = self._check(logical_id, properties, None)
        return self._finished(self._plainly("create", logical_id, typed, stack), typed)

    def update(self, physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        authorization.check_deployment(self.name, "update", physical_id)
        typed = self._check(logical_id, new, physical_id)
        before = coerce(self.kind, dict(old), self.kind.schema)
        named = [logical_id] if self.inner.get("update_with_logical_id") else []
        return self._finished(self._plainly("update", physical_id, before, typed, stack, *named), typed)

    def delete(self, physical_id: str, properties: Properties, *more: Any) -> None:
        authorization.check_deployment(self.name, "delete", physical_id)
        self.inner["delete"](physical_id, properties, *more)

    def _check(self, logical_id: str, properties: Properties, physical_id: str | None) -> dict[str, Json]:
        typed = check_properties(self.kind, logical_id, properties)
        check_references(self.name, typed)
        check_type(self.name, typed, physical_id)
        return typed

    def _plainly(self, verb: str, *arguments: Any) -> Made:
        """Call a handler; where it stumbles over something itself, say so in the stack's events."""
        handler: Callable[..., Made] = self.inner[verb]
        try:
            return handler(*arguments)
        except (AttributeError, KeyError, TypeError) as error:
            logger.exception("%s stumbled", self.name)
            raise ValueError(f"the embedded cloud cannot make this {self.name}: {error!r}") from error

    def _finished(self, made: Made, properties: Properties) -> Made:
        physical_id, known = made
        identity = dict.fromkeys(self.kind.identifiers, physical_id) if len(self.kind.identifiers) == 1 else {}
        return physical_id, attributes.from_properties(self.kind, properties, identity | (known or {}))
