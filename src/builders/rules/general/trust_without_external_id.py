"""W9005: another account's role trust without an external id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from builders.policy_documents import as_list
from builders.rules._functions import Reference
from builders.rules._policies import principals, trusts
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template, walk

_NARROWINGS = (
    *("sts:externalid", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths"),
    *("aws:sourceaccount", "aws:sourcearn"),
)


class TrustWithoutExternalId(Rule):
    """Reports a role that a whole other account may assume, without an external id or organization as condition."""

    id = "W9005"
    shortdesc = "Trust of another account without an external id"
    why = "Whoever may act in that account on behalf of others can be talked into using the role (the confused deputy)."
    source = "IAM user guide, 'The confused deputy problem'"
    bad = """
    Parameters:
      OperatorAccountId: {Type: String}
    Resources:
      Role:
        Type: AWS::IAM::Role
        Properties:
          AssumeRolePolicyDocument:
            Statement:
              - Effect: Allow
                Action: sts:AssumeRole
                Principal: {AWS: !Sub "arn:${AWS::Partition}:iam::${OperatorAccountId}:root"}
    """
    good = """
    Parameters:
      OperatorAccountId: {Type: String}
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
        for role in template.resources("AWS::IAM::Role"):
            for statement in trusts(template, role):
                actions = {str(each).lower() for each in as_list(statement.value.get("Action"))}
                if _is_narrowed(statement.value.get("Condition")) or (actions and actions <= _OF_NO_USE_ALONE):
                    continue
                for principal in principals(template, statement, "AWS"):
                    if _is_another_account(template.resolver.pieces(principal.value)) and template.possible(principal):
                        message = f"{role.name} trusts another account without a condition: ask for sts:ExternalId"
                        yield RuleFinding(principal, message)


_OF_NO_USE_ALONE = {"sts:setsourceidentity", "sts:tagsession"}
"""They need AssumeRole besides, in a statement of which the external id is asked for."""


def _is_narrowed(condition: Any) -> bool:
    keys = {str(key).lower() for _, node in walk(condition, ()) if isinstance(node, dict) for key in node}
    return condition is not None and bool(keys & set(_NARROWINGS) or any(key.startswith("fn::") for key in keys))


def _is_another_account(pieces: list[Any]) -> bool:
    """An account's root or bare id, where the account is a literal or a parameter; this account is not another one."""
    if len(pieces) == 1 and isinstance(pieces[0], str):
        text = pieces[0]
        return (text.isdigit() and len(text) == 12) or (":iam::" in text and text.endswith(":root"))
    account = [piece for piece in pieces if isinstance(piece, Reference) and piece.name != "AWS::Partition"]
    ends_in_root = isinstance(pieces[-1], str) and pieces[-1].endswith(":root") if pieces else False
    return ends_in_root and all(piece.name != "AWS::AccountId" for piece in account)
