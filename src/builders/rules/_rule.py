'''The base of every rule: its text, from which its page is made, and one method.

    class EmptySubnetGroup(Rule):
        """Reports ... (what the rule's page begins with)."""

        id = "E9101"
        shortdesc = "A subnet group without subnets"
        why = "..."; bad = "<YAML>"; good = "<YAML>"; source = "<page by title>"

        def _findings(self, template: Template) -> Iterator[RuleFinding]: ...

Ids: E fails on deploy, loses data or leaks; W works until it hurts; I is worth knowing. 90xx any template, 91xx
networks, 92xx RDS, 93xx DMS, 94xx Secrets Manager, 95xx functions, 96xx CloudWatch and EventBridge, 97xx StackSets.
'''

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from typing import Any, ClassVar

from cfnlint.rules._rule import CloudFormationLintRule, RuleMatch
from cfnlint.template.template import Template as CfnTemplate

from builders.rules._template import Template, template_of
from builders.rules._values import Path, Value

PAGES = os.environ.get("STACKFERRY_RULE_PAGES", "docs/rules")
"""Place of the rules' pages: a folder of the repository, or the address under which you publish them."""


class RuleFinding(RuleMatch):
    """A mistake: its path, and a sentence that says what it is and what to do."""

    def __init__(self, where: Path | Value, message: str) -> None:
        path = where.path if isinstance(where, Value) else where
        super().__init__(list(path), message)


class Rule(CloudFormationLintRule):
    """A rule of this pack. `options` are cfn-lint's rule settings: name to default (text, list, number, boolean)."""

    why: ClassVar[str] = ""
    bad: ClassVar[str] = ""
    good: ClassVar[str] = ""
    source: ClassVar[str] = ""
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._wrong_settings: list[str] = []
        self.description = self.what()
        self.tags = ["stackferry"]
        self.source_url = f"{PAGES}/{self.id}.md" if self.id else ""
        self.config_definition = {name: _definition(default) for name, default in self.options.items()}
        self.configure()

    @classmethod
    def what(cls) -> str:
        """The mistake that the rule reports: its docstring, as one paragraph."""
        return " ".join((inspect.getdoc(cls) or "").split())

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        """Yield what is wrong. A rule says nothing where it cannot know, and changes nothing."""
        yield from ()

    def configure(self, configs: Any = None, experimental: bool = False) -> None:
        """Take the settings that somebody gives; of one that the rule cannot take cfn-lint would say nothing."""
        given = configs if isinstance(configs, dict) else {}
        wrong = {name: self._wrong_setting(name, value) for name, value in given.items()}
        self._wrong_settings = [
            f"{self.id} cannot take its setting {name!r}: {why}" for name, why in wrong.items() if why
        ]
        fit = {name: value for name, value in given.items() if not wrong[name]}
        super().configure(fit, experimental)  # type: ignore[no-untyped-call]

    def _wrong_setting(self, name: str, value: Any) -> str | None:
        default = self.options.get(name)
        if default is None:
            return f"it has {', '.join(self.options) or 'no settings'}"
        if isinstance(default, list):
            return None
        if isinstance(value, (list, dict)):
            return f"{value!r} is no single value"
        if isinstance(default, bool):
            return None if str(value).lower() in ("true", "false") else f"{value!r} is neither true nor false"
        return None if isinstance(default, str) or str(value).isdecimal() else f"{value!r} is not a whole number"

    def match(self, cfn: CfnTemplate) -> list[RuleMatch]:
        """cfn-lint's entry: each finding once, after the settings that somebody has to mend."""
        once = {(finding.path_string, finding.message): finding for finding in self._findings(template_of(cfn))}
        return [*(RuleFinding((), sentence) for sentence in self._wrong_settings), *once.values()]


def _definition(default: Any) -> dict[str, Any]:
    """The definition of a setting for cfn-lint."""
    if isinstance(default, list):
        return {"default": default, "type": "list", "itemtype": "string"}
    kinds = {bool: "boolean", int: "integer", str: "string"}
    return {"default": default, "type": kinds[type(default)]}
