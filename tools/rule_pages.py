"""Writes a page for each rule, and the list of all rules, from the rules' own text."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from builders.rules import all_rules
from builders.rules._rule import Rule
from tools import written_files

FOLDER = Path("docs/rules")
_AREAS = {
    "0": "Any template",
    "1": "Networks",
    "2": "RDS",
    "3": "DMS",
    "4": "Secrets Manager",
    "5": "Functions and custom resources",
    "6": "CloudWatch and EventBridge",
    "7": "StackSets",
}
"""The areas by the third character of a rule's id."""


def desired_files(folder: Path = FOLDER) -> dict[Path, str]:
    """The list of all rules, and a page for each."""
    rules = all_rules()
    return {folder / "README.md": _list(rules)} | {folder / f"{rule.id}.md": _page(rule) for rule in rules}


def _list(rules: Sequence[type[Rule]]) -> str:
    lines = [
        "# Rules",
        "",
        "E fails on deploy, loses data or leaks; W works until it hurts; I is worth knowing (cfn-lint shows I only",
        "with `-c I`). Written by `python -m tools.rule_pages` from the rules' own text.",
    ]
    for digit, area in _AREAS.items():
        members = [rule for rule in rules if rule.id[2] == digit]
        lines += ["", f"## {area}", ""] if members else []
        lines += [f"- [{rule.id}]({rule.id}.md) {rule.shortdesc}" for rule in members]
    return "\n".join(lines) + "\n"


def _page(rule: type[Rule]) -> str:
    parts = [f"# {rule.id}: {rule.shortdesc}", _wrapped(rule.what()), _wrapped(rule.why)]
    if rule.options:
        parts += ["## Options", "\n".join(_option(rule, name) for name in rule.options)]
    parts += ["## Reported", _example(rule.bad), "## Not reported", _example(rule.good)]
    parts += ["## Source", _wrapped(rule.source)]
    return "\n\n".join(parts) + "\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), width=110, break_long_words=False, break_on_hyphens=False)


def _option(rule: type[Rule], name: str) -> str:
    default = rule.options[name]
    if isinstance(default, list):
        default = ",".join(default)
    elif isinstance(default, bool):
        default = str(default).lower()
    return f"- `{name}`, by default {f'`{default}`' if default != '' else 'empty'}: `-x {rule.id}:{name}=...`"


def _example(text: str) -> str:
    return f"```yaml\n{textwrap.dedent(text).strip()}\n```"


if __name__ == "__main__":
    sys.exit(written_files.main("tools.rule_pages", desired_files(), list(FOLDER.glob("*.md"))))
