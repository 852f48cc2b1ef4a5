"""The access key id names the account; accounts and regions are separate, IAM spans regions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .conftest import Account, Template

QUEUE: Template = {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q"}}}


def test_twelve_digits_are_the_account(account: Account) -> None:
    identity = account.client("sts").get_caller_identity()
    assert identity["Account"] == account.number


def test_accounts_do_not_see_each_other(account: Account) -> None:
    account.deploy(QUEUE)
    other = Account(account.cloud, "600000000001")
    assert other.client("cloudformation").describe_stacks()["Stacks"] == []
    assert other.client("sqs").list_queues().get("QueueUrls", []) == []


def test_regions_do_not_see_each_other(account: Account) -> None:
    account.deploy(QUEUE)
    elsewhere = account.elsewhere("eu-central-1")
    assert elsewhere.client("cloudformation").describe_stacks()["Stacks"] == []
    elsewhere.deploy(QUEUE, sections={"Outputs": {"Arn": {"Value": {"Fn::GetAtt": "Queue.Arn"}}}})
    assert (
        ":eu-central-1:"
        in elsewhere.client("cloudformation").describe_stacks()["Stacks"][0]["Outputs"][0]["OutputValue"]
    )


def test_a_role_is_there_in_every_region(account: Account, lambda_role: Template) -> None:
    account.deploy(lambda_role)
    name = account.physical_id("Role")
    found = account.elsewhere("eu-central-1").client("iam").get_role(RoleName=name)["Role"]
    assert found["Arn"] == f"arn:aws:iam::{account.number}:role/{name}"


def test_an_organizational_unit_is_there_in_every_region(account: Account) -> None:
    api = account.client("organizations")
    api.create_organization(FeatureSet="ALL")
    root = api.list_roots()["Roots"][0]["Id"]
    unit = api.create_organizational_unit(ParentId=root, Name="phases")["OrganizationalUnit"]["Id"]
    elsewhere = account.elsewhere("eu-central-1").client("organizations")
    found = elsewhere.list_organizational_units_for_parent(ParentId=root)["OrganizationalUnits"]
    assert [each["Id"] for each in found] == [unit]


def test_the_aws_cli_deploys_a_template_from_a_file(account: Account, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(
        "Parameters: {Name: {Type: String}}\n"
        "Resources: {Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref Name}}}\n"
    )
    parameters = tmp_path / "parameters.json"
    parameters.write_text('["Name=from-a-file"]')
    command = [sys.executable, "-m", "awscli", "cloudformation", "deploy", "--stack-name", "stack"]
    command += ["--template-file", str(template), "--parameter-overrides", f"file://{parameters}"]
    environment = {**os.environ, **account.cloud.environment(account.number)}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    assert account.physical_id("Queue").endswith("/from-a-file")
