"""Networks that lack one permission each, to find the permissions that nothing needs."""

from __future__ import annotations

from collections.abc import Iterator

from builders.reachability.topology import Resources

PERMISSIONS = (
    "AWS::EC2::NetworkAclEntry",
    "AWS::EC2::Route",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
)


def without_each(resources: Resources) -> Iterator[tuple[str, Resources]]:
    """Yield each rule, entry, route and policy statement by name, with the resources that remain without it."""
    for name, body in resources.items():
        if body["Type"] in PERMISSIONS:
            yield name, {other: kept for other, kept in resources.items() if other != name}
        for key in ("SecurityGroupIngress", "SecurityGroupEgress"):
            rules = body.get("Properties", {}).get(key, [])
            for rule in rules:
                fewer = [other for other in rules if other is not rule]
                yield f"{key} of {name}: {rule.get('Description', rule)}", _with(resources, name, key, fewer)
        if body["Type"] == "AWS::EC2::VPCEndpoint":
            document = body["Properties"].get("PolicyDocument", {})
            for statement in document.get("Statement", []):
                fewer = [other for other in document["Statement"] if other is not statement]
                remaining = _with(resources, name, "PolicyDocument", {**document, "Statement": fewer})
                yield f"policy of {name}: {statement.get('Sid', statement)}", remaining


def _with(resources: Resources, name: str, key: str, value: object) -> Resources:
    body = resources[name]
    return {**resources, name: {**body, "Properties": {**body["Properties"], key: value}}}
