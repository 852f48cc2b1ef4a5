"""E9002: an account id that is nobody's."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._accounts import MADE_UP, account_ids
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class MadeUpAccount(Rule):
    """Reports an id that documentation uses as an example, such as 123456789012, in an ARN, principal or condition."""

    id = "E9002"
    shortdesc = "An account id that is nobody's"
    why = "A trust or a grant to it works for nobody, or for whoever gets that account."
    source = "IAM user guide, 'AWS JSON policy elements: Principal'"
    bad = """
    Resources:
      Role:
        Type: AWS::IAM::Role
        Properties:
          AssumeRolePolicyDocument:
            Statement:
              - {Effect: Allow, Action: "sts:AssumeRole", Principal: {AWS: "arn:aws:iam::123456789012:root"}}
    """
    good = """
    Parameters:
      OperatorAccountId: {Type: String, AllowedPattern: "^[0-9]{12}$"}
    Resources:
      Role:
        Type: AWS::IAM::Role
        Properties:
          AssumeRolePolicyDocument:
            Statement:
              - Effect: Allow
                Action: sts:AssumeRole
                Principal: {AWS: !Sub "arn:${AWS::Partition}:iam::${OperatorAccountId}:root"}
                Condition: {StringEquals: {"sts:ExternalId": migration-dev}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for path, account in account_ids(template):
            if account in MADE_UP:
                yield RuleFinding(path, f"{account} is an example's account id: use a pseudo parameter or a parameter")
