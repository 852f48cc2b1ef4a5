"""W9404: a live password that a parameter can change."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from builders.rules._functions import Reference
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import Value

_USER = re.compile(r'"user(?:name)?"\s*:\s*"$', re.IGNORECASE)


class UnfrozenSecret(Rule):
    """Reports a parameter inside GenerateSecretString of a secret that is attached to a database, or that the template
    retains. The user's name is left alone: with another user the database is another one too.
    """

    id = "W9404"
    shortdesc = "A database's generated password that a parameter can replace"
    why = (
        "Any change inside GenerateSecretString writes a new password and drops what the attachment had added. The"
        " database keeps the old one, and nobody can log in. Write the text out, so that only an edit changes it."
    )
    source = "CloudFormation template reference, 'AWS::SecretsManager::Secret', GenerateSecretString"
    bad = """
    Parameters:
      PasswordLength: {Type: Number}
    Resources:
      Password:
        Type: AWS::SecretsManager::Secret
        Properties: {GenerateSecretString: {PasswordLength: !Ref PasswordLength}}
      Attachment:
        Type: AWS::SecretsManager::SecretTargetAttachment
        Properties: {SecretId: !Ref Password, TargetId: payments, TargetType: "AWS::RDS::DBInstance"}
    """
    good = """
    Resources:
      Password:
        Type: AWS::SecretsManager::Secret
        Properties:
          GenerateSecretString: {SecretStringTemplate: '{"username": "payments"}', GenerateStringKey: password}
      Attachment:
        Type: AWS::SecretsManager::SecretTargetAttachment
        Properties: {SecretId: !Ref Password, TargetId: payments, TargetType: "AWS::RDS::DBInstance"}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        attached = {
            target.name
            for attachment in template.resources("AWS::SecretsManager::SecretTargetAttachment")
            for value in template.branches(attachment, "SecretId")
            if (target := template.target(value.value))
        }
        for secret in template.resources("AWS::SecretsManager::Secret"):
            if secret.name not in attached and secret.body.get("DeletionPolicy") != "Retain":
                continue
            for value in template.branches(secret, "GenerateSecretString"):
                changing = sorted(_changing(template, value))
                if changing and template.possible(value):
                    message = f"a new value of {', '.join(changing)} would replace the password of {secret.name}"
                    yield RuleFinding(value, f"{message}: write the text out")


def _changing(template: Template, generated: Value) -> set[str]:
    """The parameters inside GenerateSecretString, without those that stand for the user's name."""
    found = template.references(generated.value) & set(template.parameters)
    for text in template.child(generated, "SecretStringTemplate"):
        pieces = template.resolver.pieces(text.value)
        for before, piece in itertools.pairwise(pieces):
            if isinstance(piece, Reference) and isinstance(before, str) and _USER.search(before):
                found.discard(piece.name)
    return found
