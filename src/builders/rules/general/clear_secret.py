"""E9010: a secret that the template spells out."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._secrets import REPORTED_BY_CFN_LINT, SECRET_NAME, is_clear_secret
from builders.rules._template import Resource, Template, walk
from builders.rules._values import Path


class ClearSecret(Rule):
    """Reports a password-like property that is a literal, or a parameter whose default is one. Literals in the
    properties that cfn-lint's W2501 knows are left to it.
    """

    id = "E9010"
    shortdesc = "A secret that the template spells out"
    why = "Whoever reads the template, its repository or its change sets has the secret, and all stacks share it."
    source = "CloudFormation user guide, 'Security best practices', do not embed credentials in your templates"
    bad = """
    Parameters:
      MasterPassword: {Type: String, NoEcho: true, Default: correct-horse-battery}
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties: {MasterUsername: payments, MasterUserPassword: !Ref MasterPassword}
    """
    good = """
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties: {MasterUsername: payments, ManageMasterUserPassword: true}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for resource in template.resources():
            for path, node in walk(resource.properties, ("Resources", resource.name, "Properties")):
                if isinstance(node, dict) and "Variables" not in path:
                    for key in node:
                        if isinstance(key, str) and SECRET_NAME.search(key):
                            yield from self._check_value(template, resource, (*path, key), node[key])

    def _check_value(self, template: Template, resource: Resource, path: Path, node: object) -> Iterator[RuleFinding]:
        for value in template.resolver.constants(node, path, resource.scenario):
            known = value.path[-1] in REPORTED_BY_CFN_LINT and value.parameter is None and isinstance(node, str)
            if known or not is_clear_secret(value.value) or not template.possible(value):
                continue
            message = f"{resource.name} has {path[-1]} in clear{value.source}"
            yield RuleFinding(value, f"{message}: let Secrets Manager generate it, or use a dynamic reference")
