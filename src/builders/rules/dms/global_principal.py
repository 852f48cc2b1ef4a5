"""E9310: a secret role that trusts the wrong principal of DMS."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders.rules._dms import SETTINGS
from builders.rules._policies import principals, trusts
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template

_REGIONAL = re.compile(r"dms\.[^.]+\.amazonaws\.com(\.cn)?")


class GlobalDmsPrincipal(Rule):
    """Reports the role in SecretsManagerAccessRoleArn when it trusts dms.amazonaws.com and no regional principal."""

    id = "E9310"
    shortdesc = "A role for DMS's secrets that does not trust DMS of the region"
    why = "DMS reads secrets as dms.<region>.amazonaws.com: the endpoint cannot assume the role, and no test connects."
    source = "AWS DMS user guide, 'Using secrets to access AWS Database Migration Service endpoints'"
    bad = """
    Resources:
      Role:
        Type: AWS::IAM::Role
        Properties:
          AssumeRolePolicyDocument:
            Statement: [{Effect: Allow, Action: "sts:AssumeRole", Principal: {Service: dms.amazonaws.com}}]
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {PostgreSqlSettings: {SecretsManagerSecretId: a, SecretsManagerAccessRoleArn: !GetAtt Role.Arn}}
    """
    good = """
    Resources:
      Role:
        Type: AWS::IAM::Role
        Properties:
          AssumeRolePolicyDocument:
            Statement:
              - {Effect: Allow, Action: "sts:AssumeRole", Principal: {Service: !Sub "dms.${AWS::Region}.amazonaws.com"}}
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {PostgreSqlSettings: {SecretsManagerSecretId: a, SecretsManagerAccessRoleArn: !GetAtt Role.Arn}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for role in _secret_roles(template):
            named = [p for trust in trusts(template, role) for p in principals(template, trust, "Service")]
            texts = [_text(template, principal.value) for principal in named]
            if None in texts or any(_REGIONAL.fullmatch(str(text)) for text in texts):
                continue
            for principal, text in zip(named, texts, strict=True):
                if text == "dms.amazonaws.com" and template.possible(principal):
                    yield RuleFinding(principal, f"{role.name} reads secrets for DMS: trust dms.<region>.amazonaws.com")


def _secret_roles(template: Template) -> list[Resource]:
    found = {
        target.name: target
        for endpoint in template.resources("AWS::DMS::Endpoint")
        for settings in SETTINGS
        if settings in endpoint.properties
        for value in template.branches(endpoint, f"{settings}.SecretsManagerAccessRoleArn")
        if (target := template.target(value.value)) and target.type == "AWS::IAM::Role"
    }
    return list(found.values())


def _text(template: Template, node: object) -> str | None:
    pieces = template.resolver.pieces(node)
    if not any(isinstance(piece, str) for piece in pieces):
        return None
    return "".join(piece if isinstance(piece, str) else "x" for piece in pieces)
