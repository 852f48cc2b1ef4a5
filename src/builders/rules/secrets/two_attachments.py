"""E9406: two attachments of one secret."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from builders.rules._functions import reference_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT


class TwoAttachments(Rule):
    """Reports a second AWS::SecretsManager::SecretTargetAttachment of a secret."""

    id = "E9406"
    shortdesc = "Two attachments of one secret"
    why = "A secret can be attached to one database only; Secrets Manager refuses the second attachment."
    source = "github.com/aws/aws-cdk, issue 11040 ('Secret is already attached to a target')"
    bad = """
    Resources:
      Secret: {Type: "AWS::SecretsManager::Secret", DeletionPolicy: Retain, UpdateReplacePolicy: Retain}
      One:
        Type: AWS::SecretsManager::SecretTargetAttachment
        Properties: {SecretId: !Ref Secret, TargetId: payments, TargetType: "AWS::RDS::DBInstance"}
      Other:
        Type: AWS::SecretsManager::SecretTargetAttachment
        Properties: {SecretId: !Ref Secret, TargetId: ledger, TargetType: "AWS::RDS::DBInstance"}
    """
    good = """
    Resources:
      Secret: {Type: "AWS::SecretsManager::Secret", DeletionPolicy: Retain, UpdateReplacePolicy: Retain}
      One:
        Type: AWS::SecretsManager::SecretTargetAttachment
        Properties: {SecretId: !Ref Secret, TargetId: payments, TargetType: "AWS::RDS::DBInstance"}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        attachments = template.resources("AWS::SecretsManager::SecretTargetAttachment")
        for first, second in itertools.combinations(attachments, 2):
            ones, others = (template.branches(each, "SecretId") for each in (first, second))
            for one, other in itertools.product(ones, others):
                reference = reference_of(one.value)
                # The same expression, such as one import written twice, is the same secret, too.
                same = one.value == other.value or (reference and reference == reference_of(other.value))
                if one.value is not ABSENT and same and template.possible(one, other):
                    yield RuleFinding(
                        other, f"{second.name} attaches the secret of {first.name} again, which is refused"
                    )
