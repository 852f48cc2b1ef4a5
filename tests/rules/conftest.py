"""Lints templates with one rule of the pack, without a file or a process."""

from __future__ import annotations

from typing import Any

import pytest
from cfnlint.template.template import Template

from builders.rules import all_rules
from rules.rule_templates import Lint


@pytest.fixture(scope="session")
def lint() -> Lint:
    """`lint(rule_id, template)` gives (rule id, path, message) of every finding, in their order."""
    by_id = {rule.id: rule for rule in all_rules()}

    def run(rule_id: str, template: Any, filename: str | None = None, **options: Any) -> list[tuple[str, str, str]]:
        rule = by_id[rule_id]()
        rule.configure(options)
        found = rule.match(Template(filename, template))
        return [(rule.id, finding.path_string, finding.message) for finding in found]

    return run
