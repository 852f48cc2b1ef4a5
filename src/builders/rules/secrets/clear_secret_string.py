"""E9411: a stored secret that the template spells out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from builders.rules._rule import Rule, RuleFinding
from builders.rules._secrets import SECRET_NAME, is_clear_secret
from builders.rules._template import Template


class ClearSecretString(Rule):
    """Reports SecretString with a literal secret, or with a parameter whose default is one."""

    id = "E9411"
    shortdesc = "A stored secret that the template spells out"
    why = "Secrets Manager then keeps what everybody who reads the template has already."
    source = "CloudFormation template reference, 'AWS::SecretsManager::Secret', SecretString"
    bad = """
    Resources:
      Password:
        Type: AWS::SecretsManager::Secret
        Properties: {SecretString: '{"username": "payments", "password": "correct-horse-battery"}'}
    """
    good = """
    Resources:
      Password:
        Type: AWS::SecretsManager::Secret
        Properties:
          GenerateSecretString: {SecretStringTemplate: '{"username": "payments"}', GenerateStringKey: password}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for secret in template.resources("AWS::SecretsManager::Secret"):
            for value in template.constants(secret, "SecretString"):
                if isinstance(value.value, str) and _holds_secret(value.value) and template.possible(value):
                    yield RuleFinding(value, f"{secret.name} is spelled out{value.source}: use GenerateSecretString")


def _holds_secret(text: str) -> bool:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return is_clear_secret(text) and not text.lstrip().startswith("{")
    if isinstance(document, dict):
        return any(SECRET_NAME.search(str(key)) and is_clear_secret(value) for key, value in document.items())
    return isinstance(document, str) and is_clear_secret(document)
