"""The report of a migration for auditors: the page, and the same as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from builders.errors import UsageError
from builders.migration import journal
from builders.migration.check import accepted
from builders.migration.databases import Database
from builders.migration.report import model, page
from builders.migration.report.model import Report
from builders.migration.verify import state

from .conftest import PASSWORD, Pair

CALLER = "arn:aws:sts::111111111111:assumed-role/stackferry-migration-eu-central-1-dev/<anna>"
TABLE = {
    "table": "payments.ledger", "rows": {"source": 12345, "target": 12345}, "differing": [{"key": ["4711-Anna"]}],
    "digest": {"source": "00ff", "target": "00fe"}, "lookedAtAgain": 1, "inMotion": 2, "seconds": 0.1,
}  # fmt: skip


@pytest.fixture(scope="module")
def sides(pair: Callable[..., Pair]) -> Iterator[tuple[Database, Database]]:
    """A phase after its cut-over, which was broken off once, and a verification."""
    both = pair()
    with both.database("source") as source, both.database("target") as target:
        book = journal.Journal(target, CALLER)
        book.prepare()
        told: list[tuple[str, journal.StepState]] = [
            ("fence", "begins"), ("fence", "done"), ("marker", "begins"), ("fence", "undone"), ("cutover", "undone"),
        ]  # fmt: skip
        for step, moment in told:
            book.write("cutover-1", step, moment)
        for step in ("fence", "marker", "open", "cutover"):
            book.write("cutover-2", step, "begins")
            book.write("cutover-2", step, "done", {"password": PASSWORD})
        run = state.StoredComparison(target, {}, whole=True)
        run.begin()
        run.finish({"definitions": [{"state": "waits"}, {"state": "differs"}], "tables": [TABLE]}, clean=False)
        accepted.accept_in_target(target, ["no-key:payments.event_log"], CALLER)
        yield source, target


@pytest.fixture(scope="module")
def report(sides: tuple[Database, Database]) -> Report:
    return model.gather("dev", CALLER, "3.6.1", *sides)


def test_every_run_stands_with_its_steps_who_ran_it_and_how_it_ended(report: Report) -> None:
    first, second = report.runs
    assert (first.name, first.state, first.write_outage_seconds) == ("cutover-1", "undone", None)
    assert [(step.name, step.state) for step in first.steps] == [("fence", "undone"), ("marker", "broken off")]
    assert (second.state, second.callers) == ("done", (CALLER,))
    assert second.write_outage_seconds is not None
    assert second.lag_seconds == second.steps[1].seconds
    assert [step.name for step in second.steps] == ["fence", "marker", "open"]
    assert report.application_writes_to == "target"


def test_tables_stand_with_counts_and_digests_and_without_keys_of_rows(report: Report) -> None:
    (verification,) = report.verifications
    assert (verification.same, verification.definitions_differing) == (False, 1)
    assert verification.tables == (
        model.TableDigests(
            table="payments.ledger", source_rows=12345, target_rows=12345, source_digest="00ff", target_digest="00fe",
            differing=1, in_motion=2,
        ),
    )  # fmt: skip


def test_accepted_findings_stand_with_who_accepted_them(report: Report) -> None:
    assert [(each.finding, each.caller) for each in report.accepted] == [("no-key:payments.event_log", CALLER)]


def test_both_files_hold_no_key_of_a_row_and_no_secret(report: Report, tmp_path: Path) -> None:
    for path in page.write(report, tmp_path / "reports"):
        text = path.read_text(encoding="utf-8")
        assert "payments.ledger" in text
        assert "4711-Anna" not in text
        assert PASSWORD not in text


def test_the_page_escapes_what_it_shows_and_fetches_nothing(report: Report) -> None:
    text = page.html(report)
    tags: list[str] = []

    class Collector(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            assert not {"src", "href", "onload", "srcset"} & {name for name, _ in attrs}

    Collector().feed(text)
    assert "&lt;anna&gt;" in text
    assert not {"script", "link", "img", "iframe", "anna"} & set(tags)
    assert not re.search(r"url\(|@import", text)


def test_the_json_is_the_report(report: Report, tmp_path: Path) -> None:
    _, data = page.write(report, tmp_path)
    assert Report.model_validate(json.loads(data.read_text())) == report


def test_a_phase_before_its_first_step_has_an_empty_report(pair: Callable[..., Pair]) -> None:
    both = pair()
    with both.database("source") as source, both.database("target") as target:
        empty = model.gather("dev", CALLER, "3.6.1", source, target)
    assert (empty.runs, empty.verifications, empty.accepted) == ((), (), ())
    assert "None yet." in page.html(empty)


def test_a_directory_that_cannot_be_written_is_one_line(report: Report, tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(UsageError, match="cannot be written: "):
        page.write(report, tmp_path / "reports")
