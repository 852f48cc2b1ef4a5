"""The resources that a phase retains are recorded, and purged after its removal, on the embedded cloud."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import pytest

from builders.rollout.client import Client
from builders.rollout.lifecycle.retained import (
    PurgeStatus,
    RetainedList,
    RetainedResource,
    purge_retained,
    record_retained,
)
from builders.rollout.model import StackSet, Target
from builders.rollout.plan.calls import Action
from builders.rollout.state.serialization import Folder

from .conftest import REGION, SUFFIX, Administrator, Rollout, spec

KEEPING = json.dumps(
    {
        "Parameters": {"QueueName": {"Type": "String", "Default": "payments"}},
        "Resources": {
            "Key": {
                "Type": "AWS::KMS::Key",
                "DeletionPolicy": "Retain",
                "Properties": {
                    "KeyPolicy": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}},
                                "Action": "kms:*",
                                "Resource": "*",
                            }
                        ],
                    }
                },
            },
            "Secret": {
                "Type": "AWS::SecretsManager::Secret",
                "DeletionPolicy": "Retain",
                "Properties": {"GenerateSecretString": {}},
            },
            "Logs": {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain"},
            "Role": {
                "Type": "AWS::IAM::Role",
                "DeletionPolicy": "RetainExceptOnCreate",
                "Properties": {
                    "AssumeRolePolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Principal": {"Service": "lambda.amazonaws.com"},
                                "Action": "sts:AssumeRole",
                            }
                        ],
                    }
                },
            },
            "Kept": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain"},
            "Gone": {"Type": "AWS::SQS::Queue"},
        },
    }
)


@pytest.fixture
def rollout(client: Client) -> Rollout:
    return Rollout(client, spec(body=KEEPING))


@pytest.fixture
def keeping(rollout: Rollout, member: str) -> StackSet:
    """A set whose one stack keeps most of what it makes."""
    rollout.roll_out([member])
    return read(rollout)


@pytest.fixture
def retained(administrator: Administrator, client: Client) -> RetainedList:
    return RetainedList(Folder(client.objects(REGION), administrator.bucket(), SUFFIX))


def read(rollout: Rollout) -> StackSet:
    found = rollout.client.sets.read("network", rollout.spec.name)
    assert found is not None
    return found


@pytest.fixture
def removed(rollout: Rollout, keeping: StackSet, retained: RetainedList, member: str) -> tuple[RetainedResource, ...]:
    """The set's instance is removed; what it retains was recorded before."""
    unread = record_retained(rollout.client, {"network": keeping}, retained)
    recorded = retained.read()
    operation = rollout.run(rollout.step(Action.DELETE, [member]))
    assert operation.status == "SUCCEEDED"
    assert unread == {}
    return recorded


def statuses(found: Any) -> dict[str, PurgeStatus]:
    return {each.resource.logical_id: each.status for each in found}


def test_retained_resources_are_recorded_with_their_physical_ids(
    administrator: Administrator, removed: tuple[RetainedResource, ...], retained: RetainedList, member: str
) -> None:
    secrets = administrator.api("secretsmanager", member).list_secrets()["SecretList"]

    assert {each.logical_id for each in removed} == {"Key", "Secret", "Logs", "Role", "Kept"}
    assert next(each for each in removed if each.logical_id == "Secret").physical_id == secrets[0]["ARN"]
    assert set(retained.read()) == set(removed)


def test_without_an_acknowledgement_nothing_is_purged(
    client: Client, retained: RetainedList, removed: tuple[RetainedResource, ...]
) -> None:
    found, code = purge_retained(client, retained, [])

    assert set(statuses(found).values()) == {PurgeStatus.KEPT}
    assert set(retained.read()) == set(removed)
    assert code == 0


def test_secrets_keys_and_logs_go_and_come_back_for_a_while(
    administrator: Administrator,
    client: Client,
    retained: RetainedList,
    removed: tuple[RetainedResource, ...],
    member: str,
) -> None:
    ids = {each.logical_id: each.physical_id for each in removed}

    found, code = purge_retained(client, retained, ["purge"])

    assert statuses(found) == {
        "Key": PurgeStatus.PURGED,
        "Secret": PurgeStatus.PURGED,
        "Logs": PurgeStatus.PURGED,
        "Role": PurgeStatus.KEPT,
        "Kept": PurgeStatus.KEPT,
    }
    assert code == 0
    secret = administrator.api("secretsmanager", member).describe_secret(SecretId=ids["Secret"])
    assert "DeletedDate" in secret
    key = administrator.api("kms", member).describe_key(KeyId=ids["Key"])["KeyMetadata"]
    assert key["KeyState"] == "PendingDeletion"
    groups = administrator.api("logs", member).describe_log_groups(logGroupNamePrefix=ids["Logs"])["logGroups"]
    assert groups == []


def test_a_kept_resource_says_how_it_is_deleted(
    client: Client, retained: RetainedList, removed: tuple[RetainedResource, ...]
) -> None:
    details = {each.resource.logical_id: each.detail for each in purge_retained(client, retained, ["purge"])[0]}
    role = next(each.physical_id for each in removed if each.logical_id == "Role")

    assert details["Role"] == f"others may use this role; delete it with --acknowledge purge/{role}"
    assert details["Kept"].startswith("aws cloudcontrol delete-resource --region us-east-1 --type-name AWS::SQS::Queue")
    assert details["Secret"] == "deleted; `aws secretsmanager restore-secret` brings it back for 7 days"


def test_a_role_goes_when_it_is_named(
    administrator: Administrator,
    client: Client,
    retained: RetainedList,
    removed: tuple[RetainedResource, ...],
    member: str,
) -> None:
    role = next(each.physical_id for each in removed if each.logical_id == "Role")
    administrator.api("iam", member).attach_role_policy(
        RoleName=role, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess"
    )

    purge_retained(client, retained, ["purge", f"purge/{role}"])

    names = [each["RoleName"] for each in administrator.api("iam", member).list_roles()["Roles"]]
    assert role not in names


def test_nothing_is_purged_while_its_stack_exists(
    client: Client, retained: RetainedList, rollout: Rollout, keeping: StackSet
) -> None:
    record_retained(client, {"network": keeping}, retained)

    found, _ = purge_retained(client, retained, ["purge"])

    assert set(statuses(found).values()) == {PurgeStatus.KEPT}
    assert {each.detail for each in found if each.resource.logical_id == "Key"} == {
        "its stack still exists, and uses it; remove the phase there first"
    }


def test_a_purged_resource_leaves_the_list_and_one_that_is_gone_already_counts_as_purged(
    administrator: Administrator,
    client: Client,
    retained: RetainedList,
    removed: tuple[RetainedResource, ...],
    member: str,
) -> None:
    logs = next(each.physical_id for each in removed if each.logical_id == "Logs")
    administrator.api("logs", member).delete_log_group(logGroupName=logs)

    found, _ = purge_retained(client, retained, ["purge"])

    assert next(each.detail for each in found if each.resource.logical_id == "Logs") == "was gone already"
    assert {each.logical_id for each in retained.read()} == {"Role", "Kept"}


def test_a_purge_that_was_killed_goes_on_where_it_was(
    administrator: Administrator,
    client: Client,
    retained: RetainedList,
    removed: tuple[RetainedResource, ...],
    member: str,
) -> None:
    purge_retained(client, retained, ["purge"])
    retained.update(removed)  # as if the process had died before it took anything out of the list

    found, code = purge_retained(client, retained, ["purge"])

    assert {name: status for name, status in statuses(found).items() if name in ("Key", "Secret", "Logs")} == {
        "Key": PurgeStatus.PURGED,
        "Secret": PurgeStatus.PURGED,
        "Logs": PurgeStatus.PURGED,
    }
    assert code == 0


def test_an_account_that_cannot_be_reached_fails_alone(
    administrator: Administrator,
    client: Client,
    retained: RetainedList,
    removed: tuple[RetainedResource, ...],
    member: str,
) -> None:
    elsewhere = Target("999999999990", REGION)
    retained.update([dataclasses.replace(each, target=elsewhere) for each in removed if each.logical_id == "Secret"])

    found, code = purge_retained(client, retained, ["purge"])

    failed = [each for each in found if each.status is PurgeStatus.FAILED]
    assert {each.resource.target for each in failed} == {elsewhere}
    assert "a role cannot be assumed" in failed[0].detail
    assert code == 1


def test_recording_again_keeps_what_was_recorded_first(
    client: Client, retained: RetainedList, keeping: StackSet
) -> None:
    record_retained(client, {"network": keeping}, retained)
    secret = next(each for each in retained.read() if each.logical_id == "Secret")
    retained.update([dataclasses.replace(secret, snapshots=("later",))])

    assert secret in retained.read()


def test_a_stack_that_cannot_be_read_is_reported(
    administrator: Administrator,
    client: Client,
    retained: RetainedList,
    keeping: StackSet,
    member: str,
) -> None:
    iam = administrator.api("iam", member)
    iam.detach_role_policy(RoleName="stackferry-plan-dev", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.delete_role(RoleName="stackferry-plan-dev")

    unread = record_retained(administrator.client(), {"network": keeping}, retained)

    assert retained.read() == ()
    assert set(unread) == {("network", Target(member, REGION))}


class ForeignStack:
    """A session of an account whose one stack somebody has given a template that we do not read."""

    def ask(self, _service: str, operation: str, **_request: object) -> dict[str, Any]:
        stack = {"StackName": "network", "StackId": "arn", "StackStatus": "UPDATE_COMPLETE"}
        return (
            {"TemplateBody": "AWSTemplateFormatVersion: 2010-09-09"}
            if operation == "GetTemplate"
            else {"Stacks": [stack]}
        )


def test_a_stack_whose_template_cannot_be_read_is_reported(
    client: Client, retained: RetainedList, keeping: StackSet, member: str
) -> None:
    foreign: Any = SimpleNamespace(reading=lambda _target: ForeignStack())

    unread = record_retained(foreign, {"network": keeping}, retained)

    assert unread == {("network", Target(member, REGION)): "the template has no Resources"}


DATABASE = json.dumps(
    {
        "Parameters": {"QueueName": {"Type": "String", "Default": "payments"}},
        "Resources": {
            "Database": {
                "Type": "AWS::RDS::DBInstance",
                "DeletionPolicy": "Snapshot",
                "Properties": {
                    "Engine": "postgres",
                    "DBInstanceClass": "db.t4g.micro",
                    "AllocatedStorage": "20",
                    "MasterUsername": "owner",
                    "MasterUserPassword": "only-for-a-test-1",
                },
            }
        },
    }
)


def test_only_the_final_snapshot_of_a_database_goes(
    administrator: Administrator, client: Client, retained: RetainedList, member: str
) -> None:
    rollout = Rollout(client, spec(body=DATABASE))
    rollout.roll_out([member])
    rds = administrator.api("rds", member)
    (database,) = rds.describe_db_instances()["DBInstances"]
    rds.create_db_snapshot(DBSnapshotIdentifier="by-hand", DBInstanceIdentifier=database["DBInstanceIdentifier"])
    record_retained(client, {"network": read(rollout)}, retained)
    rollout.run(rollout.step(Action.DELETE, [member]))
    before = {each["DBSnapshotIdentifier"] for each in rds.describe_db_snapshots()["DBSnapshots"]}

    (purged,), _ = purge_retained(client, retained, ["purge"])

    left = {each["DBSnapshotIdentifier"] for each in rds.describe_db_snapshots()["DBSnapshots"]}
    (final,) = before - {"by-hand"}
    assert left == {"by-hand"}
    assert purged.detail == f"snapshot {final} deleted"
    assert retained.read() == ()
