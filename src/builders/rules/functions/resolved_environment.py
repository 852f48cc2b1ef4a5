"""W9512: a dynamic reference that puts a secret into an environment variable."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._environment import variables
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT


class ResolvedEnvironment(Rule):
    """Reports {{resolve:secretsmanager:...}} in an environment variable, or in a DMS endpoint's password."""

    id = "W9512"
    shortdesc = "A dynamic reference that puts a secret where everybody sees it"
    why = (
        "CloudFormation writes the secret in clear into the configuration, and never again: after a rotation the old"
        " one stays there. The function, and DMS, can read the secret by its ARN."
    )
    source = "CloudFormation user guide, 'Get values stored in other services using dynamic references'"
    bad = """
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Environment: {Variables: {PASSWORD: "{{resolve:secretsmanager:payments:SecretString:password}}"}}
    """
    good = """
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Environment: {Variables: {SECRET_ID: payments}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        passwords = [
            (endpoint, "Password", value)
            for endpoint in template.resources("AWS::DMS::Endpoint")
            for value in template.branches(endpoint, "Password")
            if value.value is not ABSENT
        ]
        for resource, name, value in [*variables(template), *passwords]:
            pieces = template.resolver.pieces(value.value)
            text = "".join(piece for piece in pieces if isinstance(piece, str))
            if "{{resolve:secretsmanager:" in text and template.possible(value):
                yield RuleFinding(
                    value, f"{resource.name} gets {name} in clear at deploy: pass the secret's ARN instead"
                )
