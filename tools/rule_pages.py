"""Writes a page for each rule from the rule's own text: `python -m tools.rule_pages [--check] [FOLDER]`.

With --check nothing is written, and the exit code is 1 when a page is stale or belongs to no rule.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from builders.rules import all_rules
from builders.rules._rule import Rule

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


def page(rule: type[Rule]) -> str:
    """The Markdown of one rule."""
    parts = [f"# {rule.id}: {rule.shortdesc}", _wrapped(rule.what()), _wrapped(rule.why)]
    if rule.options:
        parts += ["## Options", "\n".join(_option(rule, name) for name in rule.options)]
    parts += [
        "## Reported",
        _example(rule.bad),
        "## Not reported",
        _example(rule.good),
        "## Source",
        _wrapped(rule.source),
    ]
    return "\n\n".join(parts) + "\n"


def index(rules: list[type[Rule]]) -> str:
    """The Markdown of the list of all rules."""
    lines = [
        "# Rules",
        "",
        "E fails on deploy, loses data or leaks; W works until it hurts; I is worth knowing (cfn-lint shows I only",
        "with `-c I`). Made by `python -m tools.rule_pages` from the rules' own text.",
    ]
    for digit, area in _AREAS.items():
        members = [rule for rule in rules if rule.id[2] == digit]
        lines += ["", f"## {area}", ""] if members else []
        lines += [f"- [{rule.id}]({rule.id}.md) {rule.shortdesc}" for rule in members]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Every file of the folder: its name and its text."""
    rules = all_rules()
    return {"README.md": index(rules)} | {f"{rule.id}.md": page(rule) for rule in rules}


def stale(folder: Path) -> list[str]:
    """What is wrong with the folder, a sentence a file."""
    desired = pages()
    there = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.md")}
    wrong = [f"{name} is stale: run python -m tools.rule_pages" for name in desired if there.get(name) != desired[name]]
    return wrong + [f"{name} belongs to no rule: delete it" for name in sorted(set(there) - set(desired))]


def main(arguments: list[str]) -> int:
    """Write or check the pages; 0 when all is well, 1 when something is stale."""
    folders = [Path(argument) for argument in arguments if not argument.startswith("-")]
    folder = folders[0] if folders else FOLDER
    if "--check" in arguments:
        wrong = stale(folder)
        print("\n".join(wrong), end="\n" if wrong else "")
        return 1 if wrong else 0
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), width=110, break_long_words=False, break_on_hyphens=False)


def _option(rule: type[Rule], name: str) -> str:
    default = rule.options[name]
    said = (
        ",".join(default)
        if isinstance(default, list)
        else str(default).lower()
        if isinstance(default, bool)
        else default
    )
    return f"- `{name}`, by default {f'`{said}`' if said != '' else 'empty'}: `-x {rule.id}:{name}=...`"


def _example(text: str) -> str:
    return f"```yaml\n{textwrap.dedent(text).strip()}\n```"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
