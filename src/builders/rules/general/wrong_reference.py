"""E9022: a property that refers to a resource of another kind."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from builders import resource_ids, resource_types
from builders.rules._functions import function_of, reference_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import Path


class WrongReference(Rule):
    """Reports a Ref or Fn::GetAtt that gives another kind of identifier than the property takes: an attachment for a
    transit gateway, an address for its allocation, a name or a URL for an ARN, a cluster parameter group for a
    parameter group, a topic for a key. References that cfn-lint compares itself are left to it.
    """

    id = "E9022"
    shortdesc = "A reference to a resource of the wrong kind"
    why = "CloudFormation hands the text over; the service answers, sometimes after minutes, that it does not exist."
    source = "CloudFormation template reference, 'Return values' of each resource type"
    bad = """
    Parameters: {Table: {Type: String}, Gateway: {Type: String}, Vpc: {Type: "AWS::EC2::VPC::Id"}}
    Resources:
      Attachment:
        Type: AWS::EC2::TransitGatewayVpcAttachment
        Properties: {TransitGatewayId: !Ref Gateway, VpcId: !Ref Vpc, SubnetIds: []}
      Route:
        Type: AWS::EC2::Route
        Properties: {RouteTableId: !Ref Table, DestinationCidrBlock: 172.16.0.0/16, TransitGatewayId: !Ref Attachment}
    """
    good = """
    Parameters: {Table: {Type: String}, Gateway: {Type: String}, Vpc: {Type: "AWS::EC2::VPC::Id"}}
    Resources:
      Attachment:
        Type: AWS::EC2::TransitGatewayVpcAttachment
        Properties: {TransitGatewayId: !Ref Gateway, VpcId: !Ref Vpc, SubnetIds: []}
      Route:
        Type: AWS::EC2::Route
        DependsOn: Attachment
        Properties: {RouteTableId: !Ref Table, DestinationCidrBlock: 172.16.0.0/16, TransitGatewayId: !Ref Gateway}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for resource in template.resources():
            for name, node, path in _values(resource.properties, "", ("Resources", resource.name, "Properties")):
                yield from _judged(template, resource, name, node, path)


def _values(node: Any, name: str, path: Path) -> Iterator[tuple[str, Any, Path]]:
    """Each value with the name of its property: lists and both sides of an Fn::If by their members."""
    function, argument = function_of(node)
    if function == "Fn::If" and isinstance(argument, list):
        for index, side in enumerate(argument[1:], start=1):
            yield from _values(side, name, (*path, "Fn::If", index))
    elif function is not None:
        yield name, node, path
    elif isinstance(node, dict):
        for key, child in node.items():
            yield from _values(child, str(key), (*path, key))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _values(child, name, (*path, index))


def _judged(template: Template, resource: Resource, name: str, node: Any, path: Path) -> Iterator[RuleFinding]:
    taken = resource_ids.taken_by(resource.type, name)
    reference = reference_of(node) if taken else None
    if reference is None:
        return
    target, parameter = template.resource(reference.name), template.parameters.get(reference.name)
    if target is not None:
        given = resource_ids.given_by(target.type, reference.attribute)
        advice = _advice(target, taken)
    elif isinstance(parameter, dict) and reference.attribute is None:
        given = resource_ids.given_by_parameter(str(parameter.get("Type")))
        advice = f"parameter {reference.name} is of type {parameter.get('Type')}"
    else:
        return
    if given is None or given in taken or not _is_left_to_us(resource.type, path, is_resource=target is not None):
        return
    if not template.reaches(path):
        return
    wanted = " or ".join(resource_ids.described(kind) for kind in taken)
    yield RuleFinding(path, f"{name} takes {wanted}, and is given {resource_ids.described(given)}: {advice}")


def _advice(target: Resource, taken: tuple[str, ...]) -> str:
    right = resource_ids.attribute_that_gives(target.type, taken)
    way = f"!Ref {target.name}" if right == "Ref" else f"!GetAtt {target.name}.{right}"
    return f"write {way}" if right else f"{target.name} is of type {target.type}"


def _is_left_to_us(resource_type: str, path: Path, *, is_resource: bool) -> bool:
    """Return whether the path is a property of the schema, and none whose format cfn-lint compares (E1040, E1041).

    It compares what resources give, and not what parameters hold.
    """
    found = resource_types.load(resource_type)
    if found is None:
        return False
    node = found.schema
    for before, step in itertools.pairwise(path[2:]):
        if "Fn::If" in (before, step):
            continue
        inner = node.get("items") if isinstance(step, int) else node.get("properties", {}).get(step)
        if inner is None:
            return False  # a key that the user chose, such as the name of a variable
        node = found.resolve(inner)
        # Of several formats cfn-lint compares none.
        if is_resource and str(node.get("format", "")).startswith("AWS::"):
            return False
    return True
