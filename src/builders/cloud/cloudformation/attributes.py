"""Values that AWS would choose for a resource: ids, ARNs and other attributes.

Where the registry's schema gives a form (a pattern, a prefix) the value has it. Where it does not, the value is
invented, and `invented()` lists it, so that it is not taken for a fact.
"""

from __future__ import annotations

import functools
import re
import secrets
import uuid
from collections.abc import Mapping

import regex  # type: ignore[import-untyped]
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from ministack.core.responses import get_account_id, get_region

from builders.resource_types import HOME_REGION, NAME_PROPERTIES, Json, ResourceType, value_at


@functools.cache
def names() -> frozenset[str]:
    """Return the names of all types."""
    return frozenset(PROVIDER_SCHEMA_MANAGER.get_resource_types(HOME_REGION))


# The forms of Ref and Fn::GetAtt where the schema is silent. Source of each: the "Return values" section of the
# type's page in the AWS CloudFormation template reference.
_FORMS: dict[tuple[str, str], str] = {
    ("AWS::DMS::Certificate", "CertificateArn"): "arn:aws:dms:{region}:{account}:cert:{upper26}",
    ("AWS::DMS::Endpoint", "EndpointArn"): "arn:aws:dms:{region}:{account}:endpoint:{resource_identifier}",
    ("AWS::DMS::Endpoint", "ExternalId"): "{uuid}",
    ("AWS::DMS::EventSubscription", "Id"): "{name}",
    ("AWS::DMS::ReplicationInstance", "Id"): "arn:aws:dms:{region}:{account}:rep:{resource_identifier}",
    ("AWS::DMS::ReplicationSubnetGroup", "Id"): "{name}",
    ("AWS::DMS::ReplicationTask", "ReplicationTaskArn"): "arn:aws:dms:{region}:{account}:task:{resource_identifier}",
    ("AWS::DirectConnect::TransitVirtualInterface", "VirtualInterfaceId"): "dxvif-{hex8}",
    ("AWS::EC2::TransitGatewayRouteTablePropagation", "Id"): "{hex17}",
}

# What precedes the seventeen hexadecimal digits of an EC2 id (EC2 user guide, "Resource IDs").
_EC2_PREFIXES = {
    "CustomerGateway": "cgw",
    "DHCPOptions": "dopt",
    "EIP": "eipalloc",
    "EgressOnlyInternetGateway": "eigw",
    "FlowLog": "fl",
    "Instance": "i",
    "NatGateway": "nat",
    "NetworkAcl": "acl",
    "NetworkInterface": "eni",
    "PrefixList": "pl",
    "SecurityGroupEgress": "sgr",
    "SecurityGroupIngress": "sgr",
    "SubnetNetworkAclAssociation": "aclassoc",
    "TransitGateway": "tgw",
    "TransitGatewayAttachment": "tgw-attach",
    "TransitGatewayConnect": "tgw-attach",
    "TransitGatewayPeeringAttachment": "tgw-attach",
    "TransitGatewayRouteTable": "tgw-rtb",
    "TransitGatewayVpcAttachment": "tgw-attach",
    "VPCPeeringConnection": "pcx",
    "VPNConnection": "vpn",
    "VPNGateway": "vgw",
    "Volume": "vol",
}

_invented: dict[str, dict[str, Json]] = {}


def invented() -> dict[str, dict[str, Json]]:
    """Return {type: {attribute: example}} of the attributes whose form was made up since the start."""
    return _invented


def given_name(kind: ResourceType, properties: Mapping[str, Json]) -> str | None:
    """Return the name that a template gives a resource, or None where AWS chooses it.

    It is the writable primary identifier, or the property of `NAME_PROPERTIES`.
    """
    if kind.name in NAME_PROPERTIES:
        name = properties.get(NAME_PROPERTIES[kind.name])
        return str(name) if name else None
    named = [properties.get(path) for path in kind.identifiers if path not in kind.read_only]
    return "|".join(map(str, named)) if named and all(named) else None


def identity(kind: ResourceType, logical_id: str, stack_name: str, properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return the values of the primary identifier's properties: the template's where it gives them, else new ones."""
    values = {}
    for path in kind.identifiers:
        value = value_at(properties, path)
        values[path] = value if value is not None else _choose(kind, path, logical_id, stack_name, properties)
    return values


def complete(
    kind: ResourceType, logical_id: str, stack_name: str, properties: Mapping[str, Json], given: Mapping[str, Json]
) -> dict[str, Json]:
    """Return `given` with every other attribute that Fn::GetAtt takes: a property's value, or a chosen one."""
    values = from_properties(kind, properties, given)
    for path in kind.attributes:
        if path not in values and path in kind.read_only and re.fullmatch(r"[\w.]+", path):
            values[path] = _choose(kind, path, logical_id, stack_name, properties)
    return values


def from_properties(kind: ResourceType, properties: Mapping[str, Json], given: Mapping[str, Json]) -> dict[str, Json]:
    """Return `given` with the attributes that are properties of the template, such as `Vpc.CidrBlock`."""
    values = {path: value_at(properties, path) for path in kind.attributes}
    return {path: value for path, value in values.items() if value is not None} | dict(given)


def _choose(kind: ResourceType, path: str, logical_id: str, stack_name: str, properties: Mapping[str, Json]) -> Json:
    definition = kind.definition(path)
    types = definition.get("type", "string")
    shape = types[0] if isinstance(types, list) else types
    if shape != "string":
        value = {"integer": 0, "number": 0, "boolean": False, "array": []}.get(shape, {})
        _invented.setdefault(kind.name, {})[path] = value
        return value
    if "enum" in definition:
        return definition["enum"][0]
    _, service, thing = kind.name.split("::", 2)
    values = _parts(kind, logical_id, stack_name, properties)
    candidates = [_FORMS[kind.name, path]] if (kind.name, path) in _FORMS else []
    if service == "EC2" and thing in _EC2_PREFIXES and path in (*kind.identifiers, "Id", f"{thing}Id"):
        candidates.append(_EC2_PREFIXES[thing] + "-{hex17}")
    pattern = definition.get("pattern")
    if pattern:
        candidates += _guesses(service, thing)
    for candidate in candidates:
        value = candidate.format(**values)
        if not pattern or _matches(pattern, value):
            return value
    value = _invent(service, thing, path).format(**values)
    _invented.setdefault(kind.name, {})[path] = value
    return value


def _matches(pattern: str, value: str) -> bool:
    """Return whether a value has a schema's pattern; nothing matches a pattern that only Java understands."""
    try:
        return regex.search(pattern, value) is not None
    except regex.error:
        return False


def _parts(kind: ResourceType, logical_id: str, stack_name: str, properties: Mapping[str, Json]) -> dict[str, str]:
    upper = "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(26))
    name = given_name(kind, properties) or f"{stack_name}-{logical_id}-{secrets.token_hex(6)}"
    if kind.name.startswith("AWS::DMS::"):
        name = name.lower()  # DMS stores its identifiers in lower case (DMS API reference)
    return {
        "account": get_account_id(),
        "region": get_region(),
        "uuid": str(uuid.uuid4()),
        "hex8": secrets.token_hex(4),
        "hex17": secrets.token_hex(9)[:17],
        "upper26": upper,
        "name": name,
        "resource_identifier": str(properties.get("ResourceIdentifier") or upper),
    }


def _guesses(service: str, thing: str) -> list[str]:
    """Return forms that AWS commonly uses, to be tried against a schema's pattern."""
    dashed = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", thing).lower()
    resources = [thing.lower(), dashed, dashed.split("-", 1)[-1], f"dx-{dashed.split('-')[-1]}"]
    services = [service.lower(), service.lower().replace("v2", "")]
    arns = [
        f"arn:aws:{name}:{region}:{{account}}:{resource}{separator}{tail}"
        for name in services
        for region in ("{region}", "")
        for resource in resources
        for separator in ("/", ":")
        for tail in ("{uuid}", "{name}", "{hex17}", "{upper26}")
    ]
    return ["{uuid}", "{hex17}", "{hex8}", "{account}", "{upper26}", "{name}", *arns]


def _invent(service: str, thing: str, path: str) -> str:
    last = path.rsplit(".", 1)[-1]
    if last.lower().endswith("arn"):
        return f"arn:aws:{service.lower()}:{{region}}:{{account}}:{thing.lower()}/{{name}}"
    if last.lower().endswith("id"):
        return f"{thing.lower()}-{{hex17}}"
    return "{name}"
