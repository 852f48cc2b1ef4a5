"""bootstrap as a person calls it: planned, shown, agreed to, and carried out as it was shown."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import build, environments
from builders.aws.calls import Access, ApiCalls
from builders.cloud.process import Cloud
from builders.rehearsal.accounts import Accounts
from builders.rollout.cli import main
from builders.rollout.executor.executor import planning_lock
from builders.rollout.lifecycle.bootstrap import deploy_planned, plan_bootstrap
from builders.rollout.phase import PhaseConnection, connect
from builders.rollout.state.journal import Command
from builders.rollout.state.store import Store
from builders.stack_diff.comparison import Comparison

from .called import Person, Said
from .conftest import DEPLOY_ROLE

EXAMPLES = ("8" * 12, "9" * 12, "1" * 12)
"""The tooling, network and dev accounts of `environments/`."""

_numbers = itertools.count(790_000_000_001)


class Project:
    """The project's own rollout file for one phase and region, with accounts of its own in a cloud."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud, self.folder, self.accounts = cloud, folder, Accounts(cloud)
        self.tooling, self.network, self.account = own = [str(next(_numbers)) for _ in EXAMPLES]
        shutil.copytree("environments", folder / "environments")
        for path in (folder / "environments").iterdir():
            text = path.read_text()
            for example, number in zip(EXAMPLES, own, strict=True):
                text = text.replace(example, number)
            path.write_text(text)
        shared = {"tooling": self.tooling, "network": self.network}
        phase = {
            "environment": "environments/dev.json",
            "targets": {"accounts": [self.account]},
            "regions": ["us-east-1"],
        }
        content = {
            **{name: {"account": each, "parameters": f"environments/{name}.json"} for name, each in shared.items()},
            "phases": {"dev": phase},
        }
        (folder / "rollout.yaml").write_text(json.dumps(content))
        for account in (self.network, self.account):
            self.accounts.create_admin_role(account, DEPLOY_ROLE, self.tooling)

    def open_api(self, region: str, _profile: str | None) -> ApiCalls:
        keys = (self.tooling, self.cloud.secret_access_key(self.tooling))
        return ApiCalls(Access(region, endpoint_url=self.cloud.endpoint_url, keys=keys))

    def connect(self) -> PhaseConnection:
        return connect(
            self.folder / "rollout.yaml", Path("templates"), "dev", lambda region: self.open_api(region, None)
        )

    def call(self, *arguments: str | Path) -> Said:
        """Run one command on the phase; it asks nobody, since its input is no terminal."""
        out, err = io.StringIO(), io.StringIO()
        file = ("--file", str(self.folder / "rollout.yaml"))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main.main([*file, *map(str, arguments), "--phase", "dev"], open_api=self.open_api)
        return Said(code, out.getvalue(), err.getvalue())

    def give(self, file: str, **values: str) -> None:
        """Change values of a parameter file."""
        path = self.folder / "environments" / f"{file}.json"
        kept = [each for each in json.loads(path.read_text()) if each.partition("=")[0] not in values]
        path.write_text(json.dumps([*kept, *(f"{key}={value}" for key, value in values.items())]))

    def asns(self) -> tuple[str, str]:
        """The number of the transit gateway, and another one."""
        given = environments.read(self.folder / "environments" / "network.json").values.get(
            "TransitGatewayAsn", "64512"
        )
        return given, str(int(given) + 88)

    def stacks(self) -> dict[str, str]:
        """The stacks of the three accounts, with their last change."""
        found: dict[str, str] = {}
        for account in (self.tooling, self.network, self.account):
            for each in self.accounts.api("cloudformation", account).describe_stacks()["Stacks"]:
                found[f"{each['StackName']} {account}"] = str(each.get("LastUpdatedTime", each["CreationTime"]))
        return found

    def gateway(self) -> dict[str, Any]:
        """The stack resource of the transit gateway."""
        api = self.accounts.api("cloudformation", self.network)
        asked = {"StackName": "shared-network-network", "LogicalResourceId": "TransitGateway"}
        found: dict[str, Any] = api.describe_stack_resource(**asked)["StackResourceDetail"]
        return found


@pytest.fixture
def project(cloud: Cloud, tmp_path: Path) -> Project:
    """Nothing is deployed yet."""
    return Project(cloud, tmp_path)


@pytest.fixture(scope="module")
def deployed(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(cloud, tmp_path_factory.mktemp("project"))
    assert project.call("bootstrap", "--yes").code == 0
    return project


@pytest.fixture
def bootstrapped(deployed: Project, tmp_path: Path) -> Iterator[Project]:
    """A project whose shared stacks stand, for several tests: files that none of them deployed are put back."""
    files = deployed.folder / "environments"
    shutil.copytree(files, tmp_path / "kept")
    yield deployed
    if not deployed.call("bootstrap", "--plan-only", "--json").data["nothing_to_do"]:
        shutil.copytree(tmp_path / "kept", files, dirs_exist_ok=True)


def test_a_deploy_role_that_is_missing_everywhere_is_one_note_with_the_page_that_makes_it(project: Project) -> None:
    file = project.folder / "rollout.yaml"
    given = file.read_text()
    file.write_text(json.dumps({**json.loads(given), "deploy_role": "nobody-made-it"}))
    planned = project.call("bootstrap", "--plan-only", "--json")
    file.write_text(given)
    assert planned.code == 0, planned.err
    assert planned.data["notes"][0] == (
        f"shared-network-network in {project.network}/us-east-1, account-dev in {project.account}/us-east-1 and "
        f"account-dev in {project.network}/us-east-1: cannot be read, so not deployed: "
        "the deploy role nobody-made-it cannot be assumed; make it as in docs/bootstrap.md, "
        "The deploy role, or name another as deploy_role"
    )


def test_once_bootstrapped_a_plan_is_looked_at_without_a_deploy_role(
    bootstrapped: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment still finds a missing role before anybody agrees, and names the page where it can be opened."""
    file = bootstrapped.folder / "rollout.yaml"
    given = file.read_text()
    file.write_text(json.dumps({**json.loads(given), "deploy_role": "nobody-made-it"}))
    templates = ("--templates-dir", Path("templates").resolve())
    planned = bootstrapped.call("bootstrap", "--plan-only", "--json")
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir(tmp_path)
        deployed = bootstrapped.call("bootstrap", "--yes", *templates)
    file.write_text(given)
    assert (planned.code, planned.data["nothing_to_do"], planned.data["notes"]) == (0, True, [])
    assert (deployed.code, "the deploy role nobody-made-it cannot be assumed" in deployed.out) == (1, True)
    pages = set(re.findall(r"make it as in (.+?\.md)", deployed.out))
    assert pages == {str(Path("docs/bootstrap.md").resolve())}


def test_two_bootstraps_of_a_phase_do_not_deploy_at_once(bootstrapped: Project) -> None:
    home = connect(
        bootstrapped.folder / "rollout.yaml",
        Path("templates"),
        "dev",
        lambda region: bootstrapped.open_api(region, None),
    )
    bucket = plan_bootstrap(home).shared.tooling["us-east-1"]["ArtifactsBucket"]
    bootstrapped.give("network", AllowedPrefixes="10.0.0.0/9")
    before = bootstrapped.stacks()
    with planning_lock(home.client, Store(home.client.objects("us-east-1"), bucket, "dev", "dev"), Command.BOOTSTRAP):
        second = bootstrapped.call("bootstrap", "--yes")
    assert (second.code, bootstrapped.stacks()) == (1, before)
    assert re.search(r"arn:aws:iam::\d+:root has held dev since .*, to plan and agree to bootstrap: wait", second.err)


def test_nothing_is_made_before_somebody_agrees(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = project.call("bootstrap", "--plan-only", "--json")
    assert planned.code == 0, planned.err
    kinds = {(group["layer"], place): group["kind"] for group in planned.data["groups"] for place in group["places"]}
    assert kinds == {
        ("administration", f"{project.tooling}/us-east-1"): "create",
        ("artifacts", f"{project.tooling}/us-east-1"): "create",
        ("shared_network", f"{project.network}/us-east-1"): "create",
        ("account", f"{project.account}/us-east-1"): "create",
        ("account", f"{project.network}/us-east-1"): "create",
    }
    (note,) = planned.data["notes"]
    assert note == (
        "known by name until it is deployed: DirectConnectGatewayAttachmentId of shared_network and "
        "AdministrationRoleArn of administration"
    )
    asked = project.call("bootstrap")
    assert (asked.code, asked.err.splitlines()[-1]) == (
        2,
        "rollout-stacksets: there is no terminal to ask at; give --yes, or a plan that --out has saved",
    )
    assert "Plan to bootstrap phase dev" in asked.err
    monkeypatch.setattr(sys, "stdin", Person(answer="n"))
    refused = project.call("bootstrap")
    assert (refused.code, refused.err.splitlines()[-1]) == (
        1,
        "bootstrap this for dev? [y/N]: rollout-stacksets: nothing was changed",
    )
    assert project.stacks() == {}


def test_a_saved_plan_is_carried_out_and_a_second_run_asks_nothing(project: Project, tmp_path: Path) -> None:
    saved = tmp_path / "bootstrap.json"
    assert project.call("bootstrap", "--out", saved).code == 0
    done = project.call("bootstrap", saved, "--json")
    assert done.code == 0, done.err
    assert {each["state"] for each in done.data} == {"created"}
    again = project.call("bootstrap", "--json")
    assert again.code == 0, again.err
    assert {each["state"] for each in again.data} == {"unchanged"}
    stale = project.call("bootstrap", saved)
    assert stale.code == 1
    assert f"administration at {project.tooling}/us-east-1: was create, and is nothing" in stale.err


def test_plan_and_check_agree_on_a_phase_that_is_on_direct_connect(bootstrapped: Project) -> None:
    """`Connectivity=TransitGateway` stands in the file, and the gateway's id is an output of the shared stack alone."""
    files = bootstrapped.folder / "environments"
    assert build.main(["--check", "--no-lint", "--environments-dir", str(files)]) == 0
    planned = bootstrapped.call("plan", "--json")
    assert planned.code == 0, planned.err
    assert {"network", "phase_routes"} <= {group["layer"] for group in planned.data["groups"]}
    kept = (files / "network.json").read_text()
    bootstrapped.give("network", AllowedPrefixes="10.21.0.0/16", SharePrincipals="2" * 12)

    refused, looked = bootstrapped.call("plan"), bootstrapped.call("doctor", "--json")

    said = [line.replace(f"{files}/", "") for line in refused.err.splitlines() if "VpcCidr" in line]
    assert (refused.code, [re.sub(r"line \d+", "line N", line) for line in said]) == (
        2,
        [
            "rollout-stacksets: dev.json, line N: VpcCidr=10.20.0.0/16 is not within AllowedPrefixes (network.json, "
            "line N, AllowedPrefixes): on-premises gets no route to it; add it there, then bootstrap"
        ],
    )
    assert f"{bootstrapped.account} is not listed, and cannot attach to the transit gateway in us-east-1" in refused.err
    found = {each["name"]: each["findings"] for each in looked.data["checks"]}
    assert [each["severity"] for each in found["addresses"]] == ["error", "error"]
    assert [each["what"].partition(" arn:")[0] for each in found["secrets"]] == ["SourceSecretArn: there is no secret"]
    (files / "network.json").write_text(kept)


def test_a_changed_asn_is_blocked_until_it_is_acknowledged_and_says_who_hangs_on_the_gateway(
    bootstrapped: Project,
) -> None:
    before, stacks = bootstrapped.gateway()["PhysicalResourceId"], bootstrapped.stacks()
    vpc = bootstrapped.accounts.api("ec2", bootstrapped.account).create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    body = {
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": vpc, "CidrBlock": "10.20.3.0/28"}},
        "Attachment": {
            "Type": "AWS::EC2::TransitGatewayAttachment",
            "Properties": {"TransitGatewayId": before, "VpcId": vpc, "SubnetIds": [{"Ref": "Subnet"}]},
        },
    }
    api = bootstrapped.accounts.api("cloudformation", bootstrapped.account)
    api.create_stack(StackName="attached", TemplateBody=json.dumps({"Resources": body}))
    api.get_waiter("stack_create_complete").wait(StackName="attached", WaiterConfig={"Delay": 1})
    stacks[f"attached {bootstrapped.account}"] = bootstrapped.stacks()[f"attached {bootstrapped.account}"]
    asn, another = bootstrapped.asns()
    bootstrapped.give("network", TransitGatewayAsn=another)

    blocked = bootstrapped.call("bootstrap", "--yes")

    assert blocked.code == 1
    assert "--acknowledge shared_network/TransitGateway" in blocked.err
    told = " ".join(blocked.err.split())
    assert "TransitGateway (AWS::EC2::TransitGateway) is replaced, by AmazonSideAsn" in told
    assert f"AWS::EC2::TransitGateway by AmazonSideAsn ({asn} -> {another})" in told
    assert f"attached to {before} now, with routes to on-premises: dev ({bootstrapped.account})" in told
    assert bootstrapped.stacks() == stacks
    assert bootstrapped.gateway()["PhysicalResourceId"] == before
    api.delete_stack(StackName="attached")
    api.get_waiter("stack_delete_complete").wait(StackName="attached", WaiterConfig={"Delay": 1})


def test_once_acknowledged_all_phases_get_the_new_gateway_and_its_attachment(bootstrapped: Project) -> None:
    before = bootstrapped.gateway()["PhysicalResourceId"]
    bootstrapped.give("network", TransitGatewayAsn=bootstrapped.asns()[1])

    done = bootstrapped.call("bootstrap", "--yes", "--json", "--acknowledge", "shared_network/TransitGateway")

    assert done.code == 0, done.err
    assert {each["layer"]: each["state"] for each in done.data} == {
        "administration": "unchanged",
        "artifacts": "unchanged",
        "shared_network": "updated",
        "account": "unchanged",
    }
    after = bootstrapped.gateway()["PhysicalResourceId"]
    assert after != before
    asked = [{"Name": "resource-type", "Values": ["direct-connect-gateway"]}]
    (attachment,) = bootstrapped.accounts.api("ec2", bootstrapped.network).describe_transit_gateway_attachments(
        Filters=asked
    )["TransitGatewayAttachments"]
    assert attachment["TransitGatewayId"] == after
    (shared,) = [each for each in done.data if each["layer"] == "shared_network"]
    assert shared["outputs"]["DirectConnectGatewayAttachmentId"] == attachment["TransitGatewayAttachmentId"]
    assert attachment["Association"]["TransitGatewayRouteTableId"] == shared["outputs"]["OnPremisesRouteTableId"]


def test_a_stack_that_somebody_changes_before_the_answer_is_left_alone(
    bootstrapped: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrapped.give("network", AllowedPrefixes="10.0.0.0/8")

    def change() -> None:
        api = bootstrapped.accounts.api("cloudformation", bootstrapped.network)
        api.update_stack(
            StackName="shared-network-network",
            UsePreviousTemplate=True,
            Parameters=[
                {"ParameterKey": each["ParameterKey"], "UsePreviousValue": True}
                for each in api.describe_stacks(StackName="shared-network-network")["Stacks"][0]["Parameters"]
            ],
            Tags=[{"Key": "Owner", "Value": "somebody"}],
        )
        api.get_waiter("stack_update_complete").wait(StackName="shared-network-network", WaiterConfig={"Delay": 1})

    monkeypatch.setattr(sys, "stdin", Person(change))
    said = bootstrapped.call("bootstrap")
    assert said.code == 1
    failed = f"shared-network-network in {bootstrapped.network}/us-east-1: failed"
    assert f"{failed}, it has changed since it was planned; plan again" in said.out
    assert bootstrapped.call("bootstrap", "--yes").code == 0


def test_a_change_set_by_which_cloudformation_does_more_than_was_shown_is_not_executed(bootstrapped: Project) -> None:
    bootstrapped.give("network", TransitGatewayAsn=bootstrapped.asns()[1])
    connection = bootstrapped.connect()
    rounds = plan_bootstrap(connection).rounds
    (planned,) = rounds[2]
    gateway = bootstrapped.gateway()["PhysicalResourceId"]

    less = replace(planned, comparison=Comparison(()))
    (outcome,) = deploy_planned(connection.client, [[less]])
    assert outcome.reason == (
        "CloudFormation would replace or remove DirectConnectGatewayAssociation, OnPremisesAssociation, "
        "OnPremisesRouteTable and TransitGateway, which the plan did not show; nothing was changed there"
    )
    assert bootstrapped.gateway()["PhysicalResourceId"] == gateway
