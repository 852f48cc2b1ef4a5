"""The result of a step, as expected or not, the report, and the phase in which each fault occurs."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from builders.errors import RolloutError
from builders.rehearsal import report, script, snapshot
from builders.rehearsal.rehearsal import Expectations, Unexpected
from builders.rollout.model import Target


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def expectations(printed: io.StringIO) -> Expectations:
    return Expectations(Console(file=printed, soft_wrap=True))


def reported(expectations: Expectations) -> report.Report:
    """A report of the steps so far."""
    return report.Report(
        expectations.steps, Counter({"sts:AssumeRole": 2}), {"dev": Counter(CREATE=3)}, ["Half of it."], 1.5
    )


def test_a_step_that_ends_as_expected_prints_its_result(expectations: Expectations, printed: io.StringIO) -> None:
    with expectations.step("dev: apply", "two stacks") as step:
        step.expect(True, "one stack")
        step.result = "two stacks exist"
    assert (step.as_expected, step.result) == (True, "two stacks exist")
    assert printed.getvalue().splitlines()[0] == " 1  dev: apply"
    assert printed.getvalue().endswith("ok: two stacks exist\n")


def test_a_step_that_does_not_is_kept_with_the_result_that_came_instead(
    expectations: Expectations, printed: io.StringIO
) -> None:
    with pytest.raises(Unexpected), expectations.step("dev: apply", "two stacks") as step:
        step.expect(False, "one stack")
    assert (step.as_expected, step.result) == (False, "one stack")
    assert printed.getvalue().endswith("FAILED: one stack\n")


def test_an_error_that_a_user_would_read_is_the_result(expectations: Expectations) -> None:
    with pytest.raises(Unexpected), expectations.step("dev: apply", "two stacks") as step:
        raise RolloutError("the bucket is gone")
    assert step.result == "the bucket is gone"


def test_an_answer_of_another_form_is_named_as_such(expectations: Expectations) -> None:
    with pytest.raises(Unexpected), expectations.step("dev: plan", "counts") as step:
        {"count": 1}["counts"]
    assert step.result == "an answer of another form: KeyError('counts')"


def test_an_interrupt_goes_through_and_leaves_the_step_unfinished(expectations: Expectations) -> None:
    with pytest.raises(KeyboardInterrupt), expectations.step("dev: apply", "two stacks") as step:
        raise KeyboardInterrupt
    assert (step.as_expected, step.result) == (False, "not finished")


def test_the_report_is_good_only_when_every_step_ended_as_expected(expectations: Expectations) -> None:
    with expectations.step("dev: plan", "stacks to create"):
        pass
    assert reported(expectations).good
    with pytest.raises(Unexpected), expectations.step("dev: apply", "two stacks") as step:
        step.expect(False, "one stack")
    assert not reported(expectations).good
    assert "UNEXPECTED: one stack" in report.report_text(reported(expectations))
    assert report.report_text(reported(expectations)).endswith(
        "1 step ended as expected, and then one did not: dev: apply."
    )


def test_the_report_names_a_page_where_it_can_be_opened(
    expectations: Expectations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path("docs/embedded-cloud.md").resolve()
    monkeypatch.chdir(tmp_path)
    assert f"{page} has the whole list." in report.report_text(reported(expectations))


def test_the_report_for_a_program_has_steps_calls_operations_and_what_is_not_proven(expectations: Expectations) -> None:
    with expectations.step("dev: plan", "stacks to create") as step:
        step.commands.append("rollout-stacksets plan --phase dev")
        step.result = "two"
    found = json.loads(json.dumps(report.report_data(reported(expectations))))
    (only,) = found["acts"]
    assert (only["commands"], only["expected"], only["came"]) == (
        ["rollout-stacksets plan --phase dev"],
        "stacks to create",
        "two",
    )
    assert found["calls"] == {"sts:AssumeRole": 2}
    assert found["operations"] == {"dev": {"CREATE": 3}}
    assert found["remarks"] == ["Half of it."]
    assert found["not_proven"] == list(report.NOT_PROVEN)


@pytest.mark.parametrize(
    ("phases", "faults", "expected"),
    [
        (("dev", "staging", "prod"), script.FAULTS, {"dev": set(), "staging": {"fail"}, "prod": {"kill"}}),
        (("dev", "prod"), script.FAULTS, {"dev": set(), "prod": {"fail", "kill"}}),
        (("dev",), script.FAULTS, {"dev": {"fail", "kill"}}),
        (("dev",), ("kill",), {"dev": {"kill"}}),
        (("dev", "prod"), ("none",), {"dev": set(), "prod": set()}),
    ],
)
def test_faults_occur_in_the_first_phase_only_where_there_is_no_other(
    phases: tuple[str, ...], faults: tuple[str, ...], expected: dict[str, set[str]]
) -> None:
    assert script.assign_faults(phases, faults) == expected


class OneStack:
    """CloudFormation with one stack of one set: stands in for `Accounts` and for the client that these give."""

    def __init__(self) -> None:
        self.template, self.updated, self.templates_read = "{}", "2026-01-01", 0

    def api(self, *_: str) -> OneStack:
        return self

    def get_paginator(self, operation: str) -> Any:
        stack = {"StackId": "id", "StackName": "n", "StackStatus": "UPDATE_COMPLETE", "LastUpdatedTime": self.updated}
        page = {
            "list_stack_sets": {"Summaries": [{"StackSetName": "stackferry-network-dev"}]},
            "list_stack_set_operations": {"Summaries": [{"OperationId": "second"}, {"OperationId": "first"}]},
            "list_stack_instances": {"Summaries": [{"Account": "1" * 12, "Region": "eu-west-1", "StackId": "id"}]},
            "describe_stacks": {"Stacks": [stack | {"CreationTime": "2025-01-01"}]},
        }[operation]
        return SimpleNamespace(paginate=lambda **_: [page])

    def get_template(self, **_: str) -> dict[str, str]:
        self.templates_read += 1
        return {"TemplateBody": self.template}


def test_a_snapshot_reads_a_template_again_once_its_stack_was_updated_and_only_then() -> None:
    cloud, digests = OneStack(), snapshot.Digests()

    def taken() -> snapshot.Snapshot:
        place = Target("2" * 12, "us-east-1")
        return snapshot.take_snapshot(cloud, place, "dev", None, "SELF", digests)  # type: ignore[arg-type]

    first, same = taken(), taken()
    assert (same, cloud.templates_read) == (first, 1)
    assert first.operations == {"stackferry-network-dev": ("first", "second")}
    cloud.template, cloud.updated = '{"Resources": {}}', "2026-01-02"
    key = "stackferry-network-dev", Target("1" * 12, "eu-west-1")
    assert taken().differing(first) == [key]
    assert cloud.templates_read == 2
