"""Inputs that are meant badly: a sample of what `python -m tools.fuzz` feeds, and the machinery itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from builders.errors import EvaluationError, UsageError
from builders.template_bodies import parse_template
from tools.fuzz import __main__ as fuzz, mutation
from tools.fuzz.subjects import Subject, subjects as all_subjects

SAMPLE = {
    "rollout": 25,
    "environments": 40,
    "lint": 12,
    "plan": 25,
    "secrets": 25,
    "saved-plan": 40,
    "outputs": 40,
    "journal": 40,
}
"""Inputs of each subject, of a seed that the command does not begin with; about a second of each."""
SEED = 7


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    """All but the functions, whose modules would be changed for other tests: they run in a process of their own."""
    return all_subjects(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", SAMPLE)
def test_no_input_of_the_sample_ends_in_a_traceback(subjects: dict[str, Subject], name: str, tmp_path: Path) -> None:
    found = fuzz.Found()
    fuzz.run(subjects[name], SEED, range(SAMPLE[name]), tmp_path, found)
    assert dict(found.failures) == {}
    assert found.count == SAMPLE[name]
    assert [each for each in found.outcomes if not each.startswith("refused: ")], "nothing is tried behind the refusals"


@given(source=st.randoms(use_true_random=False))
@settings(
    max_examples=60, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
def test_an_environment_that_hypothesis_draws_ends_in_no_traceback(
    subjects: dict[str, Subject], source: Random
) -> None:
    """The same mutations by hypothesis, which looks for numbers that a seed seldom gives."""
    subject = subjects["environments"]
    trace = fuzz.fed(subject, subject.make(source), fuzz.Found())
    assert trace == ""


def test_every_subject_is_sampled(subjects: dict[str, Subject]) -> None:
    assert subjects.keys() == SAMPLE.keys()


def test_no_event_and_no_secret_of_the_sample_ends_in_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.fuzz", "functions", "--count", "60", "--seed", str(SEED)]
    ended = subprocess.run([*command, "--kept", str(tmp_path)], capture_output=True, text=True, check=False)
    assert (ended.returncode, "60 inputs of seed 7, 0 tracebacks" in ended.stdout) == (0, True), ended.stderr


@pytest.mark.parametrize("name", SAMPLE)
def test_an_input_is_made_by_its_number_alone(subjects: dict[str, Subject], name: str) -> None:
    one, same, other = (subjects[name].make(fuzz.source_of(SEED, name, number)) for number in (3, 3, 4))
    assert one == same != other


QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "Name"}, "DelaySeconds": {"Ref": "Delay"}}}
GOOD: dict[str, Any] = {
    "Metadata": {"Stackferry": {"Scope": "PHASE", "Needs": []}},
    "Parameters": {"Name": {"Type": "String", "Default": "a"}, "Delay": {"Type": "Number", "Default": "0"}},
    "Resources": {"Queue": QUEUE},
    "Outputs": {"Name": {"Value": {"Ref": "Queue"}, "Export": {"Name": {"Fn::Sub": "queue-${Name}"}}}},
}


def queue(**more: Any) -> dict[str, Any]:
    return {**GOOD, "Resources": {"Queue": {**QUEUE, **more}}}


def name_parameter(**more: Any) -> dict[str, Any]:
    return {**GOOD, "Parameters": {**GOOD["Parameters"], "Name": {"Type": "String", **more}}}


MALFORMED: dict[str, Any] = {
    "sections that are lists": {name: [] for name in GOOD},
    "no section": {},
    "a list": [],
    "nothing": None,
    "resources that are texts": {**GOOD, "Resources": {"Queue": "text"}},
    "a resource without a type": {**GOOD, "Resources": {"Queue": {}}},
    "a type that is a list": queue(Type=["AWS::SQS::Queue"]),
    "a type that is a function": queue(Type={"Ref": "Name"}),
    "properties that are a list": queue(Properties=[]),
    "properties that a function makes": queue(Properties={"Fn::If": ["Nobody", {}, {}]}),
    "properties that are nothing": queue(Properties={"Ref": "AWS::NoValue"}),
    "a condition that is an object": queue(Condition={}),
    "a policy that is a list": queue(DeletionPolicy=["Retain"]),
    "dependencies that are numbers": queue(DependsOn=[1]),
    "a parameter without a type": {**GOOD, "Parameters": {"Name": {}}},
    "a parameter that is a list": {**GOOD, "Parameters": {"Name": []}},
    "a pattern that is a list": name_parameter(AllowedPattern=["a"]),
    "a pattern that is none": name_parameter(AllowedPattern="(", Default="x"),
    "a pattern that repeats too often": name_parameter(AllowedPattern="(a{99999999999})", Default="x"),
    "a length that is a word": name_parameter(MinLength="long"),
    "a length of 5,000 digits": name_parameter(MaxLength="9" * 5_000),
    "allowed values that are a text": name_parameter(AllowedValues="abc"),
    "allowed values that are lists": name_parameter(AllowedValues=[["a"]]),
    "a default that is an object": name_parameter(Default={}),
    "an output without a value": {**GOOD, "Outputs": {"Name": {}}},
    "an output that is a text": {**GOOD, "Outputs": {"Name": "text"}},
    "an export that is a text": {**GOOD, "Outputs": {"Name": {"Value": 1, "Export": "text"}}},
    "an export whose name is a list": {**GOOD, "Outputs": {"Name": {"Value": 1, "Export": {"Name": []}}}},
    "an export whose name is a number": {**GOOD, "Outputs": {"Name": {"Value": 1, "Export": {"Name": 5}}}},
    "a rule without assertions": {**GOOD, "Rules": {"Rule": {}}},
    "assertions that are texts": {**GOOD, "Rules": {"Rule": {"Assertions": ["text"]}}},
    "mappings that are texts": {**GOOD, "Mappings": {"Map": {"a": "text"}}},
    "a condition that refers to itself": {**GOOD, "Conditions": {"A": {"Condition": "A"}}},
    "a Ref that is a list": queue(Properties={"QueueName": {"Ref": ["Name"]}}),
    "a GetAtt of three parts": queue(Properties={"QueueName": {"Fn::GetAtt": ["a", "b", "c"]}}),
    "an If of one part": queue(Properties={"QueueName": {"Fn::If": ["a"]}}),
    "a Select of 5,000 digits": queue(Properties={"QueueName": {"Fn::Select": ["9" * 5_000, ["a"]]}}),
    "a Select of NaN": queue(Properties={"QueueName": {"Fn::Select": [float("nan"), ["a"]]}}),
    "a Cidr of a million million": queue(Properties={"QueueName": {"Fn::Cidr": ["10.0.0.0/8", 10**12, 1]}}),
    "a number that is infinite": queue(Properties={"DelaySeconds": float("inf")}),
    "a text of half a surrogate pair": queue(Properties={"QueueName": "\ud800"}),
    "a number of 5,000 digits": queue(Properties={"DelaySeconds": mutation.LONG_NUMBER}),
    "10,000 levels": queue(Properties={"QueueName": mutation.DEEP}),
    "a text with control characters": queue(Properties={"QueueName": "\x1b[2J\n\u202e"}),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=list(MALFORMED))
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_malformed_template_ends_in_no_traceback(subjects: dict[str, Subject], side: str, body: Any) -> None:
    """On both sides of a plan: as the template of a stack that stands, and as the one that is to come."""
    texts = {"before": json.dumps(GOOD), "after": json.dumps(GOOD), side: mutation.as_json(Random(1), body)}
    given = {**texts, "values": {"Name": "a", "Delay": "1e3"}}
    found = fuzz.Found()
    assert fuzz.fed(subjects["plan"], json.dumps(given).encode(), found) == ""


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{other}'] * 9)}]\n" for other, one in zip("abcdefghi", "bcdefghij", strict=True)
)
BOMB += "Resources: {Queue: {Type: 'AWS::SQS::Queue', Properties: {Tags: *j}}}\n"
"""A few lines that stand for a billion of values."""


@pytest.mark.parametrize(
    "body", [BOMB, "Resources: " + "[" * 1_000, "? [a]\n: 1\nResources: {}", "a: &a [*a]\nResources: {}"]
)
def test_a_template_in_yaml_that_is_meant_badly_is_refused(body: str) -> None:
    with pytest.raises(EvaluationError, match=r"^the template "):
        parse_template(body)


def broken(content: bytes) -> str:
    if content == b"1":
        raise IndexError(content)
    if content == b"2":
        raise UsageError("refused")
    if content == b"3":
        raise UsageError("refused")
    return "read"


def numbered() -> Subject:
    numbers = iter(range(100))
    return Subject("broken", lambda _: str(next(numbers)).encode(), broken)


def test_a_failure_is_counted_by_its_line_and_kept_to_be_replayed(tmp_path: Path) -> None:
    found = fuzz.Found()
    fuzz.run(numbered(), 1, range(5), tmp_path, found)
    assert dict(found.outcomes) == {"read": 2, "refused: UsageError": 2}
    ((kind, times),) = found.failures.items()
    assert (kind.startswith("IndexError in "), times) == (True, 1)
    assert (tmp_path / "broken" / "1-1.input").read_bytes() == b"1"
    assert "IndexError" in (tmp_path / "broken" / "1-1.txt").read_text()


def test_a_refusal_whose_words_steer_a_terminal_is_a_failure() -> None:
    class Odd(UsageError):
        def __str__(self) -> str:
            return "\x1b[2J"

    def take(_content: bytes) -> str:
        raise Odd

    found = fuzz.Found()
    fuzz.fed(Subject("odd", lambda _: b"", take), b"", found)
    assert [kind for kind in found.failures if "the message of Odd has" in kind] != []


def test_an_interrupt_keeps_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def take(_content: bytes) -> str:
        if results["interrupted"].count == 2:
            raise KeyboardInterrupt
        return "read"

    results = {"interrupted": fuzz.Found()}
    with pytest.raises(KeyboardInterrupt):
        fuzz.run(Subject("interrupted", lambda _: b"", take), 1, range(9), tmp_path, results["interrupted"])
    assert list(fuzz.table(results, 1)) == ["interrupted          2 inputs of seed 1, 0 tracebacks: 2 read"]


def test_what_json_cannot_write_is_written_all_the_same() -> None:
    text = mutation.as_json(Random(1), [mutation.DEEP, mutation.LONG_NUMBER, float("nan"), float("inf")])
    assert "[" * 10_000 in text
    assert "9" * 5_000 in text
    assert "NaN" in text
    assert "Infinity" in text


def test_a_subject_that_is_none_is_wrong_use() -> None:
    assert fuzz.main(["nothing-of-the-kind"]) == 2
