"""What becomes of an act that does not come as expected, and which phase suffers which fault."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from rich.console import Console

from builders.errors import RolloutError
from builders.rehearsal import report, script
from builders.rehearsal.rehearsal import Expectations, Unexpected


@pytest.fixture
def told() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def stage(told: io.StringIO) -> Expectations:
    return Expectations(Console(file=told, soft_wrap=True))


def played(stage: Expectations) -> report.Report:
    """A report of what was played."""
    return report.Report(stage.acts, Counter({"sts:AssumeRole": 2}), {"dev": Counter(CREATE=3)}, ["Half of it."], 1.5)


def test_an_act_that_comes_as_expected_says_what_came(stage: Expectations, told: io.StringIO) -> None:
    with stage.act("dev: apply", "two stacks") as act:
        act.expect(True, "one stack")
        act.came = "two stacks stand"
    assert (act.as_expected, act.came) == (True, "two stacks stand")
    assert told.getvalue().splitlines()[0] == " 1  dev: apply"
    assert told.getvalue().endswith("came: two stacks stand\n")


def test_an_act_that_does_not_is_kept_with_what_came_instead(stage: Expectations, told: io.StringIO) -> None:
    with pytest.raises(Unexpected), stage.act("dev: apply", "two stacks") as act:
        act.expect(False, "one stack")
    assert (act.as_expected, act.came) == (False, "one stack")
    assert told.getvalue().endswith("FAILED: one stack\n")


def test_an_error_that_a_user_would_read_is_what_came(stage: Expectations) -> None:
    with pytest.raises(Unexpected), stage.act("dev: apply", "two stacks") as act:
        raise RolloutError("the bucket is gone")
    assert act.came == "the bucket is gone"


def test_an_answer_of_another_form_is_told_as_that(stage: Expectations) -> None:
    with pytest.raises(Unexpected), stage.act("dev: plan", "counts") as act:
        {}["counts"]
    assert act.came == "an answer of another form: KeyError('counts')"


def test_an_interrupt_goes_through_and_leaves_the_act_unfinished(stage: Expectations) -> None:
    with pytest.raises(KeyboardInterrupt), stage.act("dev: apply", "two stacks") as act:
        raise KeyboardInterrupt
    assert (act.as_expected, act.came) == (False, "not played to its end")


def test_the_report_is_good_only_when_every_act_came_as_expected(stage: Expectations) -> None:
    with stage.act("dev: plan", "stacks to create"):
        pass
    assert played(stage).good
    with pytest.raises(Unexpected), stage.act("dev: apply", "two stacks") as act:
        act.expect(False, "one stack")
    assert not played(stage).good
    assert "CAME OTHERWISE: one stack" in report.report_text(played(stage))
    assert report.report_text(played(stage)).endswith("1 act came as expected, and then one did not: dev: apply.")


def test_the_report_for_a_machine_has_acts_calls_operations_and_what_is_not_proven(stage: Expectations) -> None:
    with stage.act("dev: plan", "stacks to create") as act:
        act.commands.append("rollout-stacksets plan --phase dev")
        act.came = "two"
    found = json.loads(report.report_data(played(stage)))
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
def test_the_first_phase_suffers_only_where_there_is_no_other(
    phases: tuple[str, ...], faults: tuple[str, ...], expected: dict[str, set[str]]
) -> None:
    assert script.assigned(phases, faults) == expected
