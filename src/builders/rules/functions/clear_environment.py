"""E9511: a secret in an environment variable."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._environment import variables
from builders.rules._rule import Rule, RuleFinding
from builders.rules._secrets import SECRET_NAME, is_clear_secret
from builders.rules._template import Template


class ClearEnvironment(Rule):
    """Reports a literal in an environment variable of a function, container or build that is named like a secret."""

    id = "E9511"
    shortdesc = "A secret in an environment variable"
    why = "Template, console and API show it to everybody who may describe the function."
    source = "AWS Lambda developer guide, 'Securing Lambda environment variables'"
    bad = """
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Environment: {Variables: {DB_PASSWORD: correct-horse-battery}}
    """
    good = """
    Parameters:
      SecretArn: {Type: String}
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Environment: {Variables: {DB_SECRET_ARN: !Ref SecretArn}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for resource, name, value in variables(template):
            if not SECRET_NAME.search(name):
                continue
            for constant in template.resolver.constants(value.value, value.path, value.when):
                if is_clear_secret(constant.value) and template.possible(constant):
                    message = f"{resource.name} has {name} in clear{constant.source}"
                    yield RuleFinding(constant, f"{message}: pass the secret's ARN and read it at run time")
