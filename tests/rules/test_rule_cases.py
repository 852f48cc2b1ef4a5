"""The cases of `cases/<rule>.yaml`: a sentence, a template, and what the rule says of it, path and message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.rules import all_rules
from rules.rule_templates import FORMS, Lint, options_in, parsed

CASES = Path(__file__).parent / "cases"


def _read(file: Path) -> Any:
    """Read by libyaml where it is there: every worker reads all cases before it begins."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(file.read_text(encoding="utf-8"), loader)


def _cases() -> list[Any]:
    return [
        pytest.param(file.stem, case, id=f"{file.stem} {case['it']}")
        for file in sorted(CASES.glob("*.yaml"))
        for case in _read(file)
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("rule_id", "case"), _cases())
def test_a_rule(rule_id: str, case: dict[str, Any], form: str, lint: Lint, tmp_path: Path) -> None:
    file = tmp_path / "template"
    file.write_text(case["template"])
    wanted = [(rule_id, path, message) for one in case.get("found", []) for path, message in one.items()]

    found = lint(rule_id, parsed(case["template"], form), str(file), **options_in(case["template"]))

    assert found == wanted


@pytest.mark.parametrize("rule_id", [rule.id for rule in all_rules()])
def test_every_rule_has_cases_that_it_reports_and_cases_that_it_does_not(rule_id: str) -> None:
    cases = _read(CASES / f"{rule_id}.yaml")

    assert {bool(case.get("found")) for case in cases} == {True, False}
