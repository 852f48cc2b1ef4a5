"""E9013: a password inside a connection string."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._accounts import texts
from builders.rules._placeholders import placeholder_in
from builders.rules._rule import Rule, RuleFinding
from builders.rules._secrets import CONNECTION
from builders.rules._template import Template


class ClearConnection(Rule):
    """Reports a URL with a user and a literal password, in a property, an output or a parameter's default."""

    id = "E9013"
    shortdesc = "A password inside a connection string"
    why = "It is a password in clear, in a place where nobody looks for one."
    source = "RFC 3986, 3.2.1 (passing a password in a URL is deprecated, since it is clear text)"
    bad = """
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Environment: {Variables: {DATABASE: "postgresql://payments:correct-horse@db.internal/payments"}}
    """
    good = """
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Environment: {Variables: {DATABASE: "postgresql://db.internal/payments"}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        defaults = [
            (("Parameters", str(name), "Default"), parameter["Default"])
            for name, parameter in template.parameters.items()
            if isinstance(parameter, dict) and isinstance(parameter.get("Default"), str)
        ]
        for path, text in [*texts(template), *defaults]:
            found = CONNECTION.search(text) if "://" in text else None
            if found and placeholder_in(found["password"]) is None:
                yield RuleFinding(path, "a password stands in this connection string: keep it in Secrets Manager")
