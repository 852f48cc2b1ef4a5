"""The deploy role, made by the commands of docs/bootstrap.md, is enough for a bootstrap where IAM is evaluated."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_cli import warm
from botocore.exceptions import ClientError
from cloud.stacksets.organization import Organization
from warm import running

from builders import deploy
from builders.aws.calls import Access, ApiCalls
from builders.cloud.clients import account_client
from builders.cloud.process import Cloud
from builders.layer_templates import read_templates
from builders.rollout.checks import permissions
from builders.rollout.checks.findings import CheckedPhase
from builders.rollout.client import Client
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.model import Permissions
from builders.rollout.phase import PhaseConnection

from .conftest import deploy_stacks

ROOT = Path(__file__).parents[2]
MANAGEMENT, TOOLING, NETWORK, PHASE = "7" * 12, "8" * 12, "9" * 12, "1" * 12
ROLE = "stackferry-deploy-tooling"


def commands(section: str) -> list[list[str]]:
    """The commands of the page's section, as a shell splits them."""
    page = (ROOT / "docs" / "bootstrap.md").read_text(encoding="utf-8")
    text = page.partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.S)).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line]


@dataclass(frozen=True)
class Made:
    """The cloud, and a client of the tooling account that deploys by the role."""

    cloud: Cloud
    client: Client
    connection: PhaseConnection

    def api(self, service: str, account: str) -> Any:
        return account_client(self.cloud, service, account)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """The unit's accounts have the role by a stack set, the network account, which is in none, by its own stack."""
    with running(authorize=True) as cloud:
        organization = Organization(cloud, MANAGEMENT)
        unit = organization.unit("phases")
        for account in (TOOLING, PHASE):
            organization.admit(account, unit)
        account_client(cloud, "cloudformation", MANAGEMENT).activate_organizations_access()
        in_management, in_network = (
            warm(deploy.AwsCli((sys.executable, "-m", "awscli"), cloud.environment(account, "us-east-1")))
            for account in (MANAGEMENT, NETWORK)
        )
        make_set, make_instances, by_hand = commands("The deploy role")
        in_management.run(*make_set)
        in_management.run(*(each.replace("ou-abcd-12345678", unit) for each in make_instances))
        in_network.run(*by_hand)
        wait_for_the_instances(account_client(cloud, "cloudformation", MANAGEMENT))
        path = tmp_path_factory.mktemp("rollout") / "rollout.yaml"
        # Parameter files of a rollout file lie in its folder.
        shutil.copytree(ROOT / "environments", path.parent / "environments")
        path.write_text(json.dumps(content()))
        rollout = load_rollout_file(path)
        access = Access("us-east-1", endpoint_url=cloud.endpoint_url, keys=(TOOLING, cloud.secret_access_key(TOOLING)))
        client = Client(ApiCalls(access), Permissions(), "dev", "dev", rollout.deploy_role_in)
        yield Made(cloud, client, PhaseConnection(rollout, read_templates(ROOT / "templates"), "dev", "dev", client))


def wait_for_the_instances(api: Any) -> None:
    deadline = time.monotonic() + 120
    while True:
        found = api.list_stack_instances(StackSetName="stackferry-deploy-role")["Summaries"]
        if found and all(each["Status"] == "CURRENT" for each in found):
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def content() -> dict[str, Any]:
    environments = Path("environments")
    return {
        "deploy_role": ROLE,
        "tooling": {"account": TOOLING, "parameters": str(environments / "tooling.json")},
        "network": {"account": NETWORK, "parameters": str(environments / "network.json")},
        "phases": {
            "dev": {
                "environment": str(environments / "dev.json"),
                "targets": {"accounts": [PHASE]},
                "regions": ["us-east-1"],
            }
        },
    }


def test_a_bootstrap_has_all_that_it_needs(made: Made) -> None:
    outcomes = deploy_stacks(made.connection)
    assert {outcome.stack.layer: outcome.reason for outcome in outcomes if not outcome.succeeded} == {}
    by_role = {outcome.stack.layer for outcome in outcomes if outcome.stack.target.account != TOOLING}
    assert by_role == {"account", "shared_network"}


def test_doctor_finds_nothing_wrong_with_it(made: Made) -> None:
    phase = CheckedPhase.of(made.connection, SharedOutputs(), None, None)
    assert list(permissions.deploy_roles(phase)) == []


def test_it_makes_nothing_but_the_plain_stacks(made: Made) -> None:
    sts = made.api("sts", TOOLING)
    role = f"arn:aws:iam::{PHASE}:role/{ROLE}"
    given = sts.assume_role(RoleArn=role, RoleSessionName="mallory")["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], "us-east-1")

    def refused(service: str, operation: str, **request: Any) -> str:
        api = session.client(service, endpoint_url=made.cloud.endpoint_url)
        with pytest.raises(ClientError) as caught:
            getattr(api, operation)(**request)
        return str(re.findall(r"not authorized to perform: (\S+)", str(caught.value))[0])

    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    assert refused("iam", "create_role", RoleName="free", AssumeRolePolicyDocument=trust) == "iam:CreateRole"
    assert refused("cloudformation", "delete_stack", StackName="deploy-role") == "cloudformation:DeleteStack"
    assert refused("secretsmanager", "list_secrets") == "secretsmanager:ListSecrets"
    assert refused("kms", "schedule_key_deletion", KeyId="0" * 8) == "kms:ScheduleKeyDeletion"


def test_an_account_of_somebody_else_is_a_stranger_to_it(made: Made) -> None:
    sts = made.api("sts", NETWORK)
    with pytest.raises(ClientError, match="is not authorized to perform: sts:AssumeRole"):
        sts.assume_role(RoleArn=f"arn:aws:iam::{PHASE}:role/{ROLE}", RoleSessionName="stranger")
