"""Each command of `rollout-stacksets` speaks of itself: interrupted, failed, blocked; and advises what can be typed."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builders.aws.calls import ApiCall, Moment
from builders.cloud.process import Cloud
from builders.rollout.cli import main

from .called import CalledPhase, Person

_numbers = itertools.count(780_000_000_001)
NOTHING = "rollout-stacksets: interrupted; nothing was changed"
UNCHECKED = ("--no-check", "--poll", "0.05")


@pytest.fixture
def phase(cloud: Cloud, tmp_path: Path) -> CalledPhase:
    """One account, bootstrapped."""
    phase = CalledPhase(cloud, str(next(_numbers)), [str(next(_numbers))], tmp_path)
    phase.open_accounts()
    return phase


def press_ctrl_c() -> None:
    raise KeyboardInterrupt


def at(operation: str) -> Callable[[Moment, ApiCall], None]:
    """Press Ctrl-C when an operation is called."""

    def observe(_moment: Moment, call: ApiCall) -> None:
        if call.operation == operation:
            press_ctrl_c()

    return observe


@contextlib.contextmanager
def refusing(phase: CalledPhase) -> Iterator[None]:
    """Let the account trust StackSets no more."""
    iam = phase.api("iam", phase.accounts[0])
    before = iam.get_role(RoleName="stackferry-execution-dev")["Role"]["AssumeRolePolicyDocument"]
    nobody = json.dumps({"Version": "2012-10-17", "Statement": []})
    iam.update_assume_role_policy(RoleName="stackferry-execution-dev", PolicyDocument=nobody)
    yield
    iam.update_assume_role_policy(RoleName="stackferry-execution-dev", PolicyDocument=json.dumps(before))


def test_an_interrupt_before_a_run_says_that_nothing_was_changed(
    phase: CalledPhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    phase.observe = at("ListStackSets")
    planned = phase.call("plan", "--phase", "dev")
    assert (planned.code, planned.err.splitlines()[-1]) == (130, NOTHING)
    phase.observe = None
    monkeypatch.setattr(sys, "stdin", Person(press_ctrl_c))
    asked = phase.call("apply", "--phase", "dev", *UNCHECKED)
    assert (asked.code, asked.err.splitlines()[-1]) == (130, f"apply this to dev? [y/N]: {NOTHING}")
    assert "resume" not in asked.err


def test_an_interrupt_in_a_run_names_resume_and_so_does_a_rollback_meanwhile(phase: CalledPhase) -> None:
    phase.observe = at("DescribeStackSetOperation")
    interrupted = phase.apply()
    options = f"--phase dev --file {phase.file} --templates-dir {phase.templates}"
    assert interrupted.code == 130
    assert f"go on; `rollout-stacksets resume {options}` continues the run" in interrupted.err
    phase.observe = None
    refused = phase.call("rollback", "--phase", "dev", "--yes")
    assert refused.code == 1
    assert f"resume it first: `rollout-stacksets resume {options}` goes on with it" in refused.err
    assert phase.call("resume", "--phase", "dev", "--poll", "0.05").code == 0


def test_a_first_apply_that_failed_advises_no_rollback_and_a_later_one_does(phase: CalledPhase) -> None:
    with refusing(phase):
        first = phase.apply()
    assert (first.code, "rollback" in first.out) == (1, False)
    assert f"rollout-stacksets apply --phase dev --file {phase.file}" in first.out
    assert phase.apply().code == 0
    phase.release("2")
    with refusing(phase):
        assert "rollout-stacksets rollback --phase dev" in phase.apply().out


def test_a_removal_that_is_blocked_or_fails_speaks_of_removing(phase: CalledPhase) -> None:
    secret = {"Type": "AWS::SecretsManager::Secret", "DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
    phase.layer("database", Password=secret)
    assert phase.apply().code == 0
    blocked = phase.call("remove", "--phase", "dev", "--yes")
    assert (blocked.code, "Nothing is removed before each is resolved or acknowledged." in blocked.err) == (1, True)
    assert "remedy:" not in blocked.err
    with refusing(phase):
        agreed = ("--yes", "--acknowledge", "database/Password", "--poll", "0.05")
        failed = phase.call("remove", "--phase", "dev", *agreed)
    assert (failed.code, "0 of 3 instances are removed" in failed.out) == (1, True)
    assert "rollout-stacksets remove --phase dev" in failed.out
    assert "deployed" not in failed.out


def test_global_options_stand_behind_a_command_s_name_too(phase: CalledPhase) -> None:
    out, arguments = io.StringIO(), ["--file", str(phase.file), "--templates-dir", str(phase.templates)]
    with contextlib.redirect_stdout(out):
        code = main.main(["plan", "--phase", "dev", *arguments], open_api=phase.open_api)
    assert (code, "Plan: 3 create" in out.getvalue()) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["plan", "--templates-dir", "/nowhere"], "no templates in /nowhere"),
        (["apply", "/nowhere.json", "--no-check"], "/nowhere.json: the plan cannot be read"),
        (["drift", "--layer", "netwrok"], "unknown layer 'netwrok', did you mean 'network'?"),
        (["plan", "--phase", "prod"], "unknown phase 'prod'"),
        (["plan", "--poll", "1"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use_is_2(phase: CalledPhase, arguments: list[str], sentence: str) -> None:
    said = phase.call(arguments[0], "--phase", "dev", *arguments[1:])
    assert (said.code, sentence in said.err) == (2, True), said.err
