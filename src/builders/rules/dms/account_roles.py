"""E9311: an account role of DMS under another name."""

from __future__ import annotations

from collections.abc import Iterator

from builders.intrinsics import DYNAMIC_REFERENCE
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT

ROLES = {
    "AmazonDMSVPCManagementRole": "dms-vpc-role",
    "AmazonDMSCloudWatchLogsRole": "dms-cloudwatch-logs-role",
}
"""The managed policy that only the account role carries, and the name under which DMS looks for the role."""


class RenamedAccountRole(Rule):
    """Reports a role with a policy of DMS's account roles whose name is not exactly the one that DMS looks for."""

    id = "E9311"
    shortdesc = "An account role of DMS under another name"
    why = "DMS finds dms-vpc-role and dms-cloudwatch-logs-role by name alone; with a suffix they do not exist for it."
    source = "AWS DMS user guide, 'Creating the IAM roles to use with AWS DMS'"
    bad = """
    Parameters:
      EnvironmentSuffix: {Type: String}
    Resources:
      VpcRole:
        Type: AWS::IAM::Role
        Properties:
          RoleName: !Sub dms-vpc-role-${EnvironmentSuffix}
          ManagedPolicyArns: [!Sub "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonDMSVPCManagementRole"]
    """
    good = """
    Resources:
      VpcRole:
        Type: AWS::IAM::Role
        Properties:
          RoleName: dms-vpc-role
          ManagedPolicyArns: [!Sub "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonDMSVPCManagementRole"]
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for role in template.resources("AWS::IAM::Role"):
            wanted = account_role(template, role)
            for name in template.branches(role, "RoleName") if wanted else []:
                pieces = [ABSENT] if name.value is ABSENT else template.resolver.pieces(name.value)
                known = any(isinstance(piece, str) or piece is ABSENT for piece in pieces)
                known = known and DYNAMIC_REFERENCE not in str(name.value)
                if known and pieces != [wanted] and template.possible(name):
                    yield RuleFinding(name, f"DMS looks for this role as {wanted}: name {role.name} exactly so")


def account_role(template: Template, role: Resource) -> str | None:
    """The exact name that AWS demands for a role, told by its managed policy."""
    for listed in template.branches(role, "ManagedPolicyArns"):
        for arn in template.items(listed):
            last = template.resolver.pieces(arn.value)[-1:]
            for policy, name in ROLES.items():
                if last and isinstance(last[0], str) and last[0].endswith(f"/{policy}"):
                    return name
    return None
