"""`remove` and `remove --purge` as they are called: what is left, what would go, and that nothing goes unasked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from builders.cloud.process import Cloud

from .called import CalledPhase, Person

DATABASE = {
    "Type": "AWS::RDS::DBInstance",
    "DeletionPolicy": "Snapshot",
    "UpdateReplacePolicy": "Snapshot",
    "Properties": {
        "Engine": "postgres",
        "DBInstanceClass": "db.t4g.micro",
        "AllocatedStorage": "20",
        "MasterUsername": "master",
        "ManageMasterUserPassword": True,
        "StorageEncrypted": True,
    },
}
RETAINED = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
SECRET = {"Type": "AWS::SecretsManager::Secret", **RETAINED, "Properties": {"GenerateSecretString": {}}}
REMOVE = ("remove", "--phase", "dev", "--poll", "0.05")
LOSSES = ("--acknowledge", "database/Database", "--acknowledge", "database/Secret")


@pytest.fixture
def deployed(cloud: Cloud, number: Callable[[], str], tmp_path: Path) -> CalledPhase:
    """One account with a database, a secret and a log group that outlive their stack."""
    phase = CalledPhase(cloud, number(), [number()], tmp_path)
    phase.layer("database", Database=DATABASE, Secret=SECRET, Logs={"Type": "AWS::Logs::LogGroup", **RETAINED})
    phase.open_accounts()
    said = phase.apply()
    assert said.code == 0, said.err
    return phase


def left(phase: CalledPhase) -> list[int]:
    """The numbers of final snapshots, secrets that are not deleted, and log groups."""
    (account,) = phase.accounts
    secrets = phase.api("secretsmanager", account).list_secrets()["SecretList"]
    return [
        len(phase.api("rds", account).describe_db_snapshots()["DBSnapshots"]),
        len([each for each in secrets if each["Name"].startswith("Secret-")]),
        len(phase.api("logs", account).describe_log_groups(logGroupNamePrefix="/aws/cloudformation/")["logGroups"]),
    ]


def test_nothing_is_removed_or_purged_unasked(deployed: CalledPhase, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = deployed.call(*REMOVE, *LOSSES, "--purge")
    assert (refused.code, refused.err.splitlines()[-1]) == (
        2,
        "rollout-stacksets: there is no terminal to ask at; give --yes",
    )
    assert "the final snapshot that its removal takes is deleted" in " ".join(refused.err.split())
    monkeypatch.setattr(sys, "stdin", Person(answer="n"))
    said_no = deployed.call(*REMOVE, *LOSSES, "--purge")
    assert said_no.code == 1
    assert said_no.err.splitlines()[-1] == (
        "remove phase dev, and delete for good what is listed above? [y/N]: rollout-stacksets: nothing was changed"
    )
    assert {each["status"] for each in deployed.status()["instances"]} == {"current"}

    removed = deployed.call(*REMOVE, *LOSSES, "--yes")
    assert removed.code == 0, removed.err
    assert removed.out == "remove: 3 instances removed; 3 operations.\n"
    assert removed.err.splitlines()[-1].startswith(
        "left by the removal: 1 LogGroup, 1 Secret and 1 final snapshot; `rollout-stacksets remove --purge --phase dev"
    )
    (snapshot,) = deployed.api("rds", deployed.accounts[0]).describe_db_snapshots()["DBSnapshots"]

    asked = deployed.call(*REMOVE, "--purge")
    listed = " ".join(asked.err.split())
    assert f"snapshot {snapshot['DBSnapshotIdentifier']} of {snapshot['AllocatedStorage']} GiB is deleted" in listed
    assert asked.code == 1
    monkeypatch.setattr(sys, "stdin", sys.__stdin__)
    assert deployed.call(*REMOVE, "--purge").code == 2
    assert left(deployed) == [1, 1, 1]

    purged = deployed.call(*REMOVE, "--purge", "--yes")
    assert purged.code == 0, purged.err
    assert left(deployed) == [0, 0, 0]
    again = deployed.call(*REMOVE, "--purge")
    assert (again.code, "Nothing is left to purge" in again.err) == (0, True)


def test_a_removal_and_a_rollback_are_saved_and_carried_out_without_a_terminal(deployed: CalledPhase) -> None:
    deployed.layer("monitoring", "2")
    assert deployed.apply().code == 0
    back = ("rollback", "--phase", "dev", "--poll", "0.05")
    assert deployed.call(*back, "--out", deployed.saved).code == 0
    taken = deployed.call("apply", deployed.saved, "--phase", "dev", "--no-check")
    assert (taken.code, "is a plan to rollback; `rollout-stacksets rollback" in taken.err) == (2, True)
    done = deployed.call(*back, deployed.saved)
    assert (done.code, done.out) == (0, "rollback: 3 instances as in the release; 1 operation.\n"), done.err
    stale = deployed.call(*back, deployed.saved)
    assert (stale.code, "is stale" in stale.err) == (1, True)

    assert deployed.call(*REMOVE, *LOSSES, "--out", deployed.saved).code == 0
    removed = deployed.call(*REMOVE, deployed.saved)
    assert (removed.code, removed.out) == (0, "remove: 3 instances removed; 3 operations.\n"), removed.err
