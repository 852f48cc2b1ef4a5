"""E9042: a key whose policy nobody could change again."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._policies import allow_statements, allowed_actions
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT, Value

_CHANGE = "kms:PutKeyPolicy"


class LockedKey(Rule):
    """Reports a key policy that allows no account, user or role to change it, such as one that names services alone, or
    lets the account use the key and not administer it.
    """

    id = "E9042"
    shortdesc = "A key policy that locks its administrators out"
    why = "KMS refuses the key, since its policy could never be changed, and the key never be deleted."
    source = "AWS KMS API reference, 'CreateKey', Policy; AWS KMS developer guide, 'Default key policy'"
    bad = """
    Resources:
      Key:
        Type: AWS::KMS::Key
        Properties:
          KeyPolicy:
            Statement:
              - {Effect: Allow, Principal: {Service: sns.amazonaws.com}, Action: "kms:*", Resource: "*"}
    """
    good = """
    Resources:
      Key:
        Type: AWS::KMS::Key
        Properties:
          KeyPolicy:
            Statement:
              - Effect: Allow
                Principal: {AWS: !Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}
                Action: kms:*
                Resource: "*"
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for key in template.resources("AWS::KMS::Key", "AWS::KMS::ReplicaKey"):
            bypassed = template.constants(key, "BypassPolicyLockoutSafetyCheck")
            if any(value.value not in (ABSENT, False, "false") for value in bypassed):
                continue
            for policy in template.branches(key, "KeyPolicy"):
                allowing = allow_statements(template, policy)
                if allowing is None:
                    continue
                changing = [each.when for each in allowing if _lets_change(template, each)]
                if template.can_lack(changing, policy):
                    message = f"nobody of the account may change the policy of {key.name}: allow its root {_CHANGE}"
                    yield RuleFinding(policy, message)


def _lets_change(template: Template, statement: Value) -> bool:
    """Return whether a statement lets some account, user or role change the policy, or may do so."""
    principal = statement.value.get("Principal", "*")
    named = not isinstance(principal, dict) or any(str(kind) == "AWS" or "::" in str(kind) for kind in principal)
    return named and bool(allowed_actions(template, statement, [_CHANGE]))
