"""Three phases in three accounts: each deploys whole, none touches another, and one goes without touching the rest."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from aws_cli import warm
from warm import run, running

from builders import catalog, outputs
from builders.cloud.process import Cloud
from builders.deploy import AwsCli
from builders.naming import plain_stack
from builders.rehearsal.deployment import (
    TEMPLATES,
    PhaseAccounts,
    PhaseDeployment,
    layers,
    source_database,
)
from builders.scopes import Scope

REGION = "us-east-1"
PHASES = {"dev": "1" * 12, "staging": "2" * 12, "prod": "3" * 12}
"""The accounts that rollout.yaml names."""

EIGHT = {
    "vpcId",
    "rdsEndpoint",
    "dmsReplicationInstanceArn",
    "secretsManagerArn",
    "replicationLagAlarmArn",
    "directConnectVirtualInterfaceId",
    "directConnectAttachmentId",
    "kmsKeyId",
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A cloud of their own: what lies in it is counted."""
    with running() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def phases(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, PhaseDeployment]]:
    """All three phases, deployed one after the other."""
    folder = tmp_path_factory.mktemp("outputs")
    with contextlib.ExitStack() as sources:
        deployed = {}
        for phase in PHASES:
            cold = PhaseAccounts.on(cloud, phase)
            accounts = PhaseAccounts(warm(cold.tooling), warm(cold.network), warm(cold.phase))
            deployment = PhaseDeployment(accounts, phase, folder, lambda _line: None)
            sources.enter_context(source_database(cloud, deployment, lambda _line: None))
            deployment.deploy_shared()
            deployment.deploy_phase()
            deployed[phase] = deployment
        yield deployed


def test_every_phase_puts_out_the_eight_values_that_others_rely_on(phases: dict[str, PhaseDeployment]) -> None:
    missing = {phase: EIGHT - set(outputs.flatten(deployment.stacks)) for phase, deployment in phases.items()}
    assert missing == {"dev": set(), "staging": set(), "prod": set()}


@pytest.mark.parametrize("phase", list(PHASES))
def test_the_integration_suite_holds_for_every_phase(phases: dict[str, PhaseDeployment], phase: str) -> None:
    deployment = phases[phase]
    outputs.write(phase, deployment.stacks, deployment.outputs_dir)
    written = {"STACKFERRY_OUTPUTS": str(deployment.outputs_dir / phase / outputs.FLAT)}
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integration"]
    finished = run(suite, env={**deployment.accounts.phase.environment, **written})
    assert finished.returncode == 0, finished.stdout


def test_production_is_what_its_file_asks_for_and_the_others_are_cheap(
    cloud: Cloud, phases: dict[str, PhaseDeployment]
) -> None:
    facts = {}
    for phase in phases:
        (database,) = boto3.client("rds", **cloud.client_arguments(PHASES[phase], REGION)).describe_db_instances()[
            "DBInstances"
        ]
        facts[phase] = (database["MultiAZ"], database["BackupRetentionPeriod"], database["DeletionProtection"])
    assert facts == {"dev": (False, 1, False), "staging": (False, 7, False), "prod": (True, 35, True)}


def test_deploying_again_without_a_change_does_nothing(phases: dict[str, PhaseDeployment]) -> None:
    deployment = phases["staging"]
    before = events(deployment.accounts.phase)
    deployment.deploy_phase()
    assert events(deployment.accounts.phase) == before


def test_no_stack_of_a_phase_names_another_phase(phases: dict[str, PhaseDeployment]) -> None:
    for phase, deployment in phases.items():
        others = [PHASES[other] for other in phases if other != phase]
        own = json.dumps(deployment.accounts.phase.json("cloudformation", "describe-stacks"))
        assert [account for account in others if account in own] == []


def test_deleting_one_phase_leaves_only_what_keeps_its_data_and_the_others_as_they_were(
    cloud: Cloud, phases: dict[str, PhaseDeployment]
) -> None:
    untouched = {phase: everything(cloud, PHASES[phase]) for phase in ("staging", "prod")}
    dev = phases["dev"]
    for layer in reversed(layers(Scope.ACCOUNT, Scope.PHASE, Scope.NETWORK_PER_PHASE)):
        delete(dev.accounts.of_scope(catalog.load(layer).scope), layer)
    left = everything(cloud, PHASES["dev"])
    assert {kind: len(things) for kind, things in left.items() if things} == {
        "keys": 1,
        "secrets": 5,  # the master's, DMS's two, and the two of the source, which the user brought
        "snapshots": 1,
        "log groups": 1,  # the record of the network that is gone
        "roles": 2,
    }
    assert sorted(role["RoleName"] for role in left["roles"]) == ["dms-cloudwatch-logs-role", "dms-vpc-role"]
    for phase, before in untouched.items():
        for kind, things in everything(cloud, PHASES[phase]).items():
            assert things == before[kind], (phase, kind)


def events(cli: AwsCli) -> dict[str, int]:
    """The number of events that each stack has had."""
    return {
        name: len(cli.json("cloudformation", "describe-stack-events", "--stack-name", name)["StackEvents"])
        for name in sorted(plain_stack(path.stem, "staging") for path in TEMPLATES.glob("*.json"))
        if catalog.load(name.removesuffix("-staging").replace("-", "_")).scope in (Scope.ACCOUNT, Scope.PHASE)
    }


def delete(cli: AwsCli, layer: str) -> None:
    name = plain_stack(layer, "dev")
    cli.run("cloudformation", "delete-stack", "--stack-name", name)
    cli.run("cloudformation", "wait", "stack-delete-complete", "--stack-name", name)


def _without(beginning: str, things: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the members that change by themselves, since the status function runs every minute."""
    return [{name: value for name, value in each.items() if not name.startswith(beginning)} for each in things]


def everything(cloud: Cloud, account: str) -> dict[str, list[Any]]:
    """The resources of an account, as its services describe them."""

    def client(service: str) -> Any:
        return boto3.client(service, **cloud.client_arguments(account, REGION))

    ec2, rds, dms, iam = client("ec2"), client("rds"), client("dms"), client("iam")
    keys = [client("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in client("kms").list_keys()["Keys"]]
    ours = [{"Name": "tag-key", "Values": ["MigrationPhase"]}]
    return {
        "stacks": [stack["StackId"] for stack in client("cloudformation").describe_stacks()["Stacks"]],
        "keys": [key for key in keys if key["KeyManager"] == "CUSTOMER"],
        "secrets": _without("LastAccessedDate", client("secretsmanager").list_secrets()["SecretList"]),
        "topics": client("sns").list_topics()["Topics"],
        "vpcs": ec2.describe_vpcs(Filters=ours)["Vpcs"],
        "subnets": ec2.describe_subnets(Filters=ours)["Subnets"],
        "routes": ec2.describe_route_tables(Filters=ours)["RouteTables"],
        "acls": ec2.describe_network_acls(Filters=ours)["NetworkAcls"],
        "groups": ec2.describe_security_groups(Filters=ours)["SecurityGroups"],
        "endpoints": ec2.describe_vpc_endpoints(Filters=ours)["VpcEndpoints"],
        "databases": rds.describe_db_instances()["DBInstances"],
        "snapshots": rds.describe_db_snapshots()["DBSnapshots"],
        "functions": client("lambda").list_functions()["Functions"],
        "instances": dms.describe_replication_instances()["ReplicationInstances"],
        "tasks": dms.describe_replication_tasks()["ReplicationTasks"],
        "alarms": _without("State", client("cloudwatch").describe_alarms()["MetricAlarms"]),
        "rules": client("events").list_rules()["Rules"],
        "log groups": [group["arn"] for group in client("logs").describe_log_groups()["logGroups"]],
        "roles": [role for role in iam.list_roles()["Roles"] if "/aws-service-role/" not in role["Path"]],
    }
