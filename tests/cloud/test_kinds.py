"""Kinds of templates that people publish: those that AWS deploys are deployed, those that it refuses are refused.

The templates are in kinds/, several in a file; the comments before each say its name, the source of AWS's behaviour,
and the outputs of its stack, or the reason of its refusal, a regular expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Account, Refused

KINDS = Path(__file__).parent / "kinds"


@dataclass(frozen=True)
class Kind:
    """One template, and what is said about it."""

    name: str
    body: str
    outputs: Mapping[str, str]
    reason: str


def kinds(file: str) -> list[Any]:
    return [pytest.param(kind, id=kind.name) for kind in _read(file)]


def _read(file: str) -> Iterator[Kind]:
    for text in (KINDS / file).read_text().split("\n---\n"):
        said = yaml.safe_load("\n".join(re.findall(r"^# (.+)$", text, re.M)))
        assert said["source"], said["name"]
        yield Kind(said["name"], text, said.get("outputs") or {}, said.get("reason") or "")


def body(account: Account, kind: Kind) -> str:
    """The template, with the ids of the account's default network."""
    ec2 = account.client("ec2")
    subnets = ec2.describe_subnets()["Subnets"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    names = {"vpc-default": subnets[0]["VpcId"], "subnet-a": subnets[0]["SubnetId"], "sg-default": group,
             "subnet-b": subnets[1]["SubnetId"]}  # fmt: skip
    return re.sub("|".join(names), lambda found: names[found[0]], kind.body)


def deploy(account: Account, kind: Kind) -> dict[str, str]:
    """Create the stack and return its outputs. Raises `Refused` with the reasons."""
    api = account.client("cloudformation")
    try:
        api.create_stack(
            StackName="kind",
            TemplateBody=body(account, kind),
            Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Tags=[{"Key": "team", "Value": "payments"}],
        )
    except api.exceptions.ClientError as error:
        raise Refused(str(error)) from error
    if account.settled("kind") != "CREATE_COMPLETE":
        reasons = [each.get("ResourceStatusReason", "") for each in account.events("kind")]
        reasons += account.validation_errors(StackName="kind")
        raise Refused(" | ".join(reasons))
    found = api.describe_stacks(StackName="kind")["Stacks"][0].get("Outputs", [])
    return {each["OutputKey"]: each["OutputValue"] for each in found}


@pytest.mark.parametrize("kind", kinds("deployed.yaml"))
def test_what_aws_deploys_is_deployed_and_has_not_drifted(account: Account, kind: Kind) -> None:
    outputs = deploy(account, kind)
    assert {name: outputs[name] for name in kind.outputs} == kind.outputs
    api = account.client("cloudformation")
    detection = api.detect_stack_drift(StackName="kind")["StackDriftDetectionId"]
    found = api.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
    assert found["StackDriftStatus"] == "IN_SYNC"
    assert account.delete("kind") in ("DELETE_COMPLETE", "")


@pytest.mark.parametrize("kind", kinds("refused.yaml"))
def test_what_aws_refuses_is_refused_with_its_reason(account: Account, kind: Kind) -> None:
    with pytest.raises(Refused, match=kind.reason):
        deploy(account, kind)
