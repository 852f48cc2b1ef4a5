"""I9004: the partition aws written into an ARN."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._accounts import ARN, texts
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class WrittenPartition(Rule):
    """Reports arn:aws: in a text without Fn::Sub (cfn-lint's I3042 reports those inside Fn::Sub)."""

    id = "I9004"
    shortdesc = "A partition written into a plain ARN"
    why = "The ARN does not exist in AWS China and AWS GovCloud."
    source = "CloudFormation user guide, 'Pseudo parameters reference', AWS::Partition"
    bad = """
    Resources:
      Role:
        Type: AWS::IAM::Role
        Properties: {ManagedPolicyArns: ["arn:aws:iam::aws:policy/ReadOnlyAccess"]}
    """
    good = """
    Resources:
      Role:
        Type: AWS::IAM::Role
        Properties: {ManagedPolicyArns: [!Sub "arn:${AWS::Partition}:iam::aws:policy/ReadOnlyAccess"]}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for path, text in texts(template):
            if "Fn::Sub" not in path and any(arn["partition"] == "aws" for arn in ARN.finditer(text)):
                yield RuleFinding(path, "partition aws is written here: use AWS::Partition")
