"""E9506: a function in a VPC whose role may not make network interfaces."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._policies import allow_statements, allowed_actions
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Scenario, Value

_ACTION = "ec2:CreateNetworkInterface"
_WITHOUT = (
    *("AWSLambdaBasicExecutionRole", "AWSLambdaDynamoDBExecutionRole", "AWSLambdaKinesisExecutionRole"),
    *("AWSLambdaSQSQueueExecutionRole", "AWSXRayDaemonWriteAccess", "CloudWatchLambdaInsightsExecutionRolePolicy"),
)
"""Managed policies of AWS for functions that do not have the action (AWS Managed Policy Reference)."""
_SEPARATE = {
    "AWS::IAM::ManagedPolicy": "Roles",
    "AWS::IAM::Policy": "Roles",
    "AWS::IAM::RolePolicy": "RoleName",
}
"""{type: the property that names the roles of a policy that stands apart}."""


class UnconnectedFunction(Rule):
    """Reports a function in a VPC whose role is one of the template and has no policy that lets it make network
    interfaces, or has it under a condition alone. Roles with a policy that is not known are left alone.
    """

    id = "E9506"
    shortdesc = "A function in a VPC whose role may not make network interfaces"
    why = "Lambda refuses the function: it makes the interfaces in the VPC with the function's own role."
    source = "AWS Lambda developer guide, 'Giving Lambda functions access to resources in an Amazon VPC'"
    bad = """
    Parameters: {Subnets: {Type: "List<AWS::EC2::Subnet::Id>"}, Groups: {Type: "List<AWS::EC2::SecurityGroup::Id>"}}
    Resources:
      Role:
        Type: AWS::IAM::Role
        Properties:
          ManagedPolicyArns: [!Sub "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"]
      Function:
        Type: AWS::Lambda::Function
        Properties: {Role: !GetAtt Role.Arn, VpcConfig: {SubnetIds: !Ref Subnets, SecurityGroupIds: !Ref Groups}}
    """
    good = """
    Parameters: {Subnets: {Type: "List<AWS::EC2::Subnet::Id>"}, Groups: {Type: "List<AWS::EC2::SecurityGroup::Id>"}}
    Resources:
      Role:
        Type: AWS::IAM::Role
        Properties:
          ManagedPolicyArns: [!Sub "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"]
      Function:
        Type: AWS::Lambda::Function
        Properties: {Role: !GetAtt Role.Arn, VpcConfig: {SubnetIds: !Ref Subnets, SecurityGroupIds: !Ref Groups}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for function in template.resources("AWS::Lambda::Function"):
            for subnets in template.branches(function, "VpcConfig.SubnetIds"):
                if subnets.value is ABSENT or subnets.value == []:
                    continue
                for named in template.branches(function, "Role"):
                    role = template.target(named.value)
                    letting = _letting(template, role) if role and role.type == "AWS::IAM::Role" else None
                    if role and letting is not None and template.can_lack(letting, subnets, named, role.scenario):
                        said = f"{role.name} may not make the network interfaces of {function.name} in its VPC"
                        yield RuleFinding(named, f"{said}: attach AWSLambdaVPCAccessExecutionRole to it")


def _letting(template: Template, role: Resource) -> list[Scenario] | None:
    """The conditions of the statements that allow a role the action; None where one of its policies is not known."""
    documents = list(template.branches(role, "Policies.*.PolicyDocument"))
    for attached in (each for value in template.branches(role, "ManagedPolicyArns") for each in template.items(value)):
        policy = template.target(attached.value)
        if policy is not None and policy.type == "AWS::IAM::ManagedPolicy":
            documents += template.branches(policy, "PolicyDocument")
        elif attached.value is not ABSENT and not _lacks(template, attached):
            return None
    for kind, holder in _SEPARATE.items():
        for policy in template.resources(kind):
            named = [each.value for value in template.branches(policy, holder) for each in template.items(value)]
            holders = [template.target(node) for node in named]
            if role in holders:
                documents += template.branches(policy, "PolicyDocument")
            elif None in holders:
                return None  # it may be this role, by its name
    statements = [allow_statements(template, document) for document in documents if document.value is not ABSENT]
    if None in statements:
        return None
    known = [statement for allowing in statements for statement in allowing or ()]
    return [each.when for each in known if allowed_actions(template, each, [_ACTION])]


def _lacks(template: Template, attached: Value) -> bool:
    """Return whether a managed policy is one of AWS's that surely lacks the action."""
    last = template.resolver.pieces(attached.value)[-1:]
    return bool(last) and isinstance(last[0], str) and last[0].endswith(tuple(f"/{name}" for name in _WITHOUT))
