"""Values that AWS would choose for a resource: ids, ARNs and other attributes.

Where the registry's schema gives a form (a pattern, a prefix) the value has it. Where it does not, the value is
invented, and `invented()` lists it, so that it is not taken for a fact.
"""

from __future__ import annotations

import base64
import functools
import re
import secrets
import uuid
from collections.abc import Mapping

import regex
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from ministack.core.responses import get_account_id, get_region

from builders.cloud.internals import ec2
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
    ("AWS::Events::ApiDestination", "Arn"): "arn:aws:events:{region}:{account}:api-destination/{name}/{uuid}",
    ("AWS::Events::Connection", "Arn"): "arn:aws:events:{region}:{account}:connection/{name}/{uuid}",
    ("AWS::KMS::ReplicaKey", "Arn"): "arn:aws:kms:{region}:{account}:key/{uuid}",
    ("AWS::Route53::HostedZone", "Id"): "Z{upper20}",
    ("AWS::CloudFront::Distribution", "Id"): "E{upper13}",
    ("AWS::CloudFront::Distribution", "DomainName"): "d{hex13}.cloudfront.net",
}

# Lists of which AWS says how long they are; the entries have the form. Sources as above.
_LISTS: dict[tuple[str, str], tuple[int, str]] = {
    ("AWS::DirectoryService::MicrosoftAD", "DnsIpAddresses"): (2, "10.255.0.{number}"),
    ("AWS::DirectoryService::SimpleAD", "DnsIpAddresses"): (2, "10.255.0.{number}"),
    ("AWS::EC2::VPC", "CidrBlockAssociations"): (1, "vpc-cidr-assoc-{hex17}"),
    ("AWS::EC2::VPCEndpoint", "DnsEntries"): (2, "Z7HUB22UULQXV:vpce-{hex17}-{hex8}.vpce.amazonaws.com"),
    ("AWS::EC2::VPCEndpoint", "NetworkInterfaceIds"): (1, "eni-{hex17}"),
    ("AWS::GlobalAccelerator::Accelerator", "Ipv4Addresses"): (2, "75.2.255.{number}"),
    ("AWS::Route53::HostedZone", "NameServers"): (4, "ns-{number}.awsdns-{number}.com"),
}

_EMPTY_LISTS = ("Ipv6CidrBlocks", "SecondaryPrivateIpAddresses", "Ipv6Addresses", "SecurityGroups")
"""Attributes that are empty lists as long as nothing else fills them."""

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
    kind: ResourceType,
    logical_id: str,
    stack_name: str,
    properties: Mapping[str, Json],
    given: Mapping[str, Json],
    *,
    only_chosen_by_aws: bool = False,
) -> dict[str, Json]:
    """Return `given` with every other attribute that Fn::GetAtt takes: a property's value, or a chosen one.

    With `only_chosen_by_aws` a property that a template may set, and does not, has no value.
    """
    values = from_properties(kind, properties, given)
    for path in kind.attributes:
        settable = path not in kind.read_only
        if values.get(path) == [] and (kind.name, path) in _LISTS:
            del values[path]  # ministack knows the attribute, and no entry
        if path not in values and not (only_chosen_by_aws and settable) and re.fullmatch(r"[\w.]+", path):
            values[path] = _choose(kind, path, logical_id, stack_name, properties)
    return values


def from_properties(kind: ResourceType, properties: Mapping[str, Json], given: Mapping[str, Json]) -> dict[str, Json]:
    """Return `given` with the attributes that are properties of the template, such as `Vpc.CidrBlock`."""
    values = {path: value_at(properties, path) for path in kind.attributes if path.partition(".")[0] in properties}
    return {path: value for path, value in values.items() if value is not None} | dict(given)


def _choose(kind: ResourceType, path: str, logical_id: str, stack_name: str, properties: Mapping[str, Json]) -> Json:
    definition = kind.definition(path)
    types = definition.get("type", "string")
    shape = types[0] if isinstance(types, list) else types
    if shape == "array":
        return _choose_list(kind, path, definition, _parts(kind, logical_id, stack_name, properties), properties)
    if shape != "string":
        empty: Json = {"integer": 0, "number": 0, "boolean": False}.get(shape, {})
        _invented.setdefault(kind.name, {})[path] = empty
        return empty
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


def _choose_list(
    kind: ResourceType,
    path: str,
    definition: Mapping[str, Json],
    parts: Mapping[str, str],
    properties: Mapping[str, Json],
) -> list[str]:
    """Return a list that Fn::Select finds something in: as many entries as AWS gives, else one that is invented."""
    if kind.name == "AWS::NetworkFirewall::Firewall" and path == "EndpointIds":
        return [
            f"{zone}:vpce-{secrets.token_hex(9)[:17]}" for zone in map(_zone_of, properties.get("SubnetMappings") or ())
        ]
    if (kind.name, path) in _LISTS:
        count, form = _LISTS[kind.name, path]
        return [form.format(**{**parts, "number": str(1 + number)}) for number in range(count)]
    items = kind.resolve(definition.get("items") or {})
    if (
        path.rpartition(".")[2] in _EMPTY_LISTS
        or path not in kind.read_only
        or items.get("type") not in ("string", None)
    ):
        value: list[str] = []
    else:
        value = ["{name}".format(**parts)]
    _invented.setdefault(kind.name, {})[path] = value
    return value


def _zone_of(mapping: Mapping[str, Json]) -> str:
    subnet = ec2.subnets.get(mapping.get("SubnetId")) or {}
    return str(subnet.get("AvailabilityZone") or f"{get_region()}a")


def _matches(pattern: str, value: str) -> bool:
    """Return whether a value has a schema's pattern; nothing matches a pattern that only Java understands."""
    compiled = _compiled(pattern)
    return compiled is not None and compiled.search(value) is not None


@functools.cache
def _compiled(pattern: str) -> regex.Pattern[str] | None:
    try:
        return regex.compile(pattern)
    except regex.error:
        return None


def _parts(kind: ResourceType, logical_id: str, stack_name: str, properties: Mapping[str, Json]) -> dict[str, str]:
    upper = base64.b32encode(secrets.token_bytes(17)).decode()[:26]  # capitals and the digits 2 to 7
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
        "upper20": upper[:20],
        "upper13": upper[:13],
        "hex13": secrets.token_hex(7)[:13],
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


_OF_OTHER_SERVICES = {
    "secretarn": "arn:aws:secretsmanager:{region}:{account}:secret:{name}",
    "rolearn": "arn:aws:iam::{account}:role/{name}",
    "topicarn": "arn:aws:sns:{region}:{account}:{name}",
    "loggrouparn": "arn:aws:logs:{region}:{account}:log-group:{name}",
}
"""Ends of attributes that name what the service makes elsewhere, such as MasterUserSecret.SecretArn of a cluster."""


def _invent(service: str, thing: str, path: str) -> str:
    last = path.rsplit(".", 1)[-1]
    of_other = next((form for end, form in _OF_OTHER_SERVICES.items() if last.lower().endswith(end)), None)
    if of_other:
        return of_other
    if last.lower().endswith("arn"):
        return f"arn:aws:{service.lower()}:{{region}}:{{account}}:{thing.lower()}/{{name}}"
    if last.lower().endswith("id"):
        return f"{thing.lower()}-{{hex17}}"
    return "{name}"
