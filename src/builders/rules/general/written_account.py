"""W9002: an account id written into a template."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._accounts import AWS_ACCOUNTS, MADE_UP, account_ids
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class WrittenAccount(Rule):
    """Reports a literal account id in an ARN, a name, a principal or a condition of a source account. Accounts of AWS
    itself, and those of publishers of layers and of applications of the Serverless Application Repository, are left
    alone.
    """

    id = "W9002"
    shortdesc = "An account id written into a template"
    why = (
        "The template means one account wherever it is deployed: what works in one phase trusts the wrong account in"
        " the next."
    )
    source = "CloudFormation user guide, 'Pseudo parameters reference'"
    bad = """
    Resources:
      Policy:
        Type: AWS::IAM::ManagedPolicy
        Properties:
          PolicyDocument:
            Statement: [{Effect: Allow, Action: "sqs:SendMessage", Resource: "arn:aws:sqs:*:482916503718:payments"}]
    """
    good = """
    Resources:
      Policy:
        Type: AWS::IAM::ManagedPolicy
        Properties:
          PolicyDocument:
            Statement:
              - Effect: Allow
                Action: sqs:SendMessage
                Resource: !Sub "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:payments"
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for path, account in account_ids(template):
            if account not in MADE_UP and account not in AWS_ACCOUNTS:
                yield RuleFinding(path, f"account id {account} is written here: use AWS::AccountId or a parameter")
