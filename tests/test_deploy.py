"""Deploying with the AWS CLI: the command that is shown is the one that runs, and a failure says why."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from builders.deploy import AwsCli, deploy
from builders.errors import DeployError
from builders.naming import plain_stack

FAKE = """
import json, sys
answers = json.load(open({answers!r}))
with open({calls!r}, "a") as calls:
    print(json.dumps(sys.argv[1:]), file=calls)
words = [word for word in sys.argv[1:] if not word.startswith("--")]
operation = next(word for word in answers if word in words)
sys.stdout.write(answers[operation].get("out", ""))
sys.stderr.write(answers[operation].get("err", ""))
sys.exit(answers[operation].get("code", 0))
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "network.json"
    path.write_text("{}")
    return path


def cli(tmp_path: Path, **answers: object) -> AwsCli:
    """An AWS CLI that answers as it is scripted, per operation, and writes down how it was called."""
    (tmp_path / "answers.json").write_text(json.dumps({key.replace("_", "-"): value for key, value in answers.items()}))
    script = tmp_path / "aws.py"
    script.write_text(FAKE.format(answers=str(tmp_path / "answers.json"), calls=str(tmp_path / "calls")))
    return AwsCli((sys.executable, str(script)), {}, "http://127.0.0.1:1")


STACK = {"Stacks": [{"Outputs": [{"OutputKey": "VpcId", "OutputValue": "vpc-1"}]}]}


def test_a_deploy_runs_the_command_that_it_shows_and_returns_the_outputs(tmp_path: Path, template: Path) -> None:
    shown: list[str] = []
    aws = cli(tmp_path, deploy={"out": "\nWaiting\nDone\n"}, describe_stacks={"out": json.dumps(STACK)})
    outputs = deploy(aws, template, "dev", Path("environments/dev.json"), shown.append)
    assert outputs == {"VpcId": "vpc-1"}
    assert shown == [
        f"$ aws cloudformation deploy --template-file {template} --stack-name network-dev"
        " --capabilities CAPABILITY_NAMED_IAM --no-fail-on-empty-changeset"
        " --parameter-overrides file://environments/dev.json",
        "Waiting",
        "Done",
    ]
    called = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert called[0] == ["--endpoint-url", "http://127.0.0.1:1", *shown[0].split()[2:]]


def test_a_failed_deploy_says_why_the_resources_failed_the_first_one_first(tmp_path: Path, template: Path) -> None:
    events = [
        {
            "LogicalResourceId": "Subnet",
            "ResourceStatus": "CREATE_FAILED",
            "ResourceStatusReason": "creation cancelled",
        },
        {"LogicalResourceId": "Vpc", "ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "the range is taken"},
        {"LogicalResourceId": "Vpc", "ResourceStatus": "CREATE_IN_PROGRESS"},
    ]
    aws = cli(
        tmp_path,
        deploy={"err": "\nFailed to create the stack\n", "code": 255},
        describe_stack_events={"out": json.dumps({"StackEvents": events})},
    )
    with pytest.raises(DeployError) as failure:
        deploy(aws, template, "dev", Path("dev.json"), lambda _line: None)
    assert str(failure.value) == (
        "aws cloudformation deploy failed: Failed to create the stack; Vpc: the range is taken"
    )


def test_a_missing_aws_is_one_line_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"is not there; `make demo` installs the AWS CLI"):
        AwsCli((str(tmp_path / "no aws here"),), {}).run("sts", "get-caller-identity")


def test_a_stack_has_no_underscore_in_its_name() -> None:
    assert plain_stack("database_users", "dev") == "database-users-dev"
