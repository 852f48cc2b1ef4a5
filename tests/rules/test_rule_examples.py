"""Every rule's own examples: what a page calls bad is reported by that rule, what it calls good is not."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from builders.rules import all_rules
from builders.rules._rule import Rule
from rules.rule_templates import FORMS, Lint, options_in, parsed
from tools import rule_pages, written_files


@pytest.fixture(params=all_rules(), ids=lambda rule: rule.id)
def rule(request: pytest.FixtureRequest) -> type[Rule]:
    chosen: type[Rule] = request.param
    return chosen


@pytest.mark.parametrize("form", FORMS)
def test_the_bad_example_is_reported(rule: type[Rule], form: str, lint: Lint, tmp_path: Path) -> None:
    file = tmp_path / "template"
    file.write_text(textwrap.dedent(rule.bad))

    found = lint(rule.id, parsed(rule.bad, form), str(file), **options_in(rule.bad))

    assert {rule_id for rule_id, _, _ in found} == {rule.id}


@pytest.mark.parametrize("form", FORMS)
def test_the_good_example_is_not_reported(rule: type[Rule], form: str, lint: Lint) -> None:
    assert lint(rule.id, parsed(rule.good, form), **options_in(rule.good)) == []


def test_a_rule_says_what_it_reports_and_why_and_where_that_is_written(rule: type[Rule]) -> None:
    assert all([rule.shortdesc, rule.what, rule.why, rule.source])


def test_a_rule_links_to_its_page(rule: type[Rule]) -> None:
    assert rule().source_url.endswith(f"docs/rules/{rule.id}.md")


def test_the_pages_are_fresh() -> None:
    existing = list(rule_pages.FOLDER.glob("*.md"))
    assert written_files.check("tools.rule_pages", rule_pages.desired_files(), existing) == []


def test_a_stale_page_and_one_of_no_rule_are_named_apart(tmp_path: Path) -> None:
    desired = rule_pages.desired_files(tmp_path)
    for path, text in desired.items():
        path.write_text(text)
    (tmp_path / "E9101.md").write_text("something else")
    (tmp_path / "E9999.md").write_text("nothing")

    assert written_files.check("tools.rule_pages", desired, list(tmp_path.glob("*.md"))) == [
        f"{tmp_path / 'E9101.md'} is stale: run python -m tools.rule_pages",
        f"{tmp_path / 'E9999.md'} is not needed: delete it",
    ]
