"""W9314: an account role of DMS that every stack tries to make."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules.dms.account_roles import ROLES


class AccountRolePerStack(Rule):
    """Reports dms-vpc-role or dms-cloudwatch-logs-role without a Condition, or without DeletionPolicy Retain."""

    id = "W9314"
    shortdesc = "An account role of DMS without a condition, or deleted with its stack"
    why = (
        "There is one of them an account. Where it exists already the deploy fails with EntityAlreadyExists, and"
        " the stack that takes its role along breaks DMS for all others."
    )
    source = "AWS DMS user guide, 'Creating the IAM roles to use with AWS DMS'"
    bad = """
    Resources:
      VpcRole:
        Type: AWS::IAM::Role
        Properties: {RoleName: dms-vpc-role}
    """
    good = """
    Parameters:
      MakeVpcRole: {Type: String, AllowedValues: ["true", "false"]}
    Conditions:
      HasNoVpcRole: !Equals [!Ref MakeVpcRole, "true"]
    Resources:
      VpcRole:
        Type: AWS::IAM::Role
        Condition: HasNoVpcRole
        DeletionPolicy: Retain
        UpdateReplacePolicy: Retain
        Properties: {RoleName: dms-vpc-role}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for role in template.resources("AWS::IAM::Role"):
            for name in template.constants(role, "RoleName"):
                if name.value not in ROLES.values() or name.parameter or not template.possible(name):
                    continue
                if "Condition" not in role.body:
                    yield RuleFinding(name, f"{role.name} exists once an account: make it under a condition")
                if role.body.get("DeletionPolicy") not in ("Retain", "RetainExceptOnCreate"):
                    yield RuleFinding(name, f"{role.name} serves all stacks of the account: retain it on delete")
