"""A parameter with NoEcho: CloudFormation shows asterisks for its value, so a plan compares what can be compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders.cloud.process import Cloud

from .called import COMMON, OF_ACCOUNTS, CalledPhase

HIDDEN = {"ApiKey": {"Type": "String", "NoEcho": True}}
SECRET = "correct-horse-battery"


@pytest.fixture
def phase(cloud: Cloud, number: Callable[[], str], tmp_path: Path) -> CalledPhase:
    """Two accounts, one of which has a value of its own for the hidden parameter."""
    phase = CalledPhase(cloud, number(), [number(), number()], tmp_path)
    phase.open_accounts()
    phase.environment("dev", **COMMON, **OF_ACCOUNTS, ApiKey=SECRET)
    phase.phase(account_parameters={phase.accounts[1]: {"ApiKey": "another-one"}})
    phase.layer("network", parameters=HIDDEN, Hidden=topic("ApiKey"))
    return phase


def topic(parameter: str) -> dict[str, Any]:
    """A topic with the value of a parameter in a tag."""
    return {"Type": "AWS::SNS::Topic", "Properties": {"Tags": [{"Key": "Key", "Value": {"Ref": parameter}}]}}


def test_a_phase_with_a_hidden_parameter_is_rolled_out_once(phase: CalledPhase) -> None:
    first = phase.apply()
    assert first.code == 0, first.err + first.out
    again = phase.call("plan", "--phase", "dev", "--json")
    assert again.data["nothing_to_do"], again.out
    assert phase.apply("--json").data["nothing_to_do"]


def test_a_plan_says_that_another_hidden_value_alone_is_no_change_and_how_to_roll_it_out(phase: CalledPhase) -> None:
    assert phase.apply().code == 0
    phase.environment("dev", **COMMON, **OF_ACCOUNTS, ApiKey="a-new-one")
    planned = phase.call("plan", "--phase", "dev", "--json")
    assert planned.data["nothing_to_do"]
    assert planned.data["notes"] == [
        "CloudFormation shows no value of a parameter with NoEcho, so that another value of network/ApiKey alone is no "
        "change here; give the parameter another name in the template to roll a new value out"
    ]


def test_a_parameter_of_another_name_carries_a_new_value(phase: CalledPhase) -> None:
    assert phase.apply().code == 0
    phase.environment("dev", **COMMON, **OF_ACCOUNTS, SecondKey="a-new-one")
    phase.phase()
    phase.layer("network", parameters={"SecondKey": HIDDEN["ApiKey"]}, Hidden=topic("SecondKey"))
    assert phase.apply().code == 0
    assert [key_of(phase, account) for account in phase.accounts] == ["a-new-one", "a-new-one"]
    assert phase.call("plan", "--phase", "dev", "--json").data["nothing_to_do"]


def key_of(phase: CalledPhase, account: str) -> str:
    """The tag of the topic that has the hidden value."""
    sns = phase.api("sns", account)
    for each in sns.list_topics()["Topics"]:
        for tag in sns.list_tags_for_resource(ResourceArn=each["TopicArn"])["Tags"]:
            if tag["Key"] == "Key":
                return str(tag["Value"])
    return ""
