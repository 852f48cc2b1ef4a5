"""`migrate-database rotate` on a deployed phase, under IAM: the task stops, the password changes, the task goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm import running

from builders.aws.calls import ApiCall, Moment
from builders.aws.errors import AccessDenied
from builders.errors import MigrationError
from builders.migration import rotate
from builders.migration.journal import Journal
from builders.migration.phase import Phase, PhaseOptions
from builders.migration.task import running as running_task
from builders.migration.task.running import Watch

from .whole_phase import WholePhase, whole_phase


@pytest.fixture(scope="module")
def phase() -> Iterator[WholePhase]:
    with running(authorize=True) as cloud, whole_phase(cloud) as deployed:
        deployed.redeploy("account", CreateMigrationRole="true")  # its boundary lets the role read secrets
        deployed.redeploy("access", OperatorAccountIds=deployed.account.number)
        yield deployed


@pytest.fixture
def options(phase: WholePhase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PhaseOptions:
    (tmp_path / "dev").mkdir()
    outputs = {name[0].lower() + name[1:]: value for each in phase.stacks.values() for name, value in each.items()}
    (tmp_path / "dev" / "flat-outputs.json").write_text(json.dumps(outputs))
    for name, value in phase.account.cloud.environment(phase.account.number).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PGSSLROOTCERT", str(phase.account.cloud.ca_file))
    return PhaseOptions("dev", tmp_path)


@pytest.fixture
def watch() -> Watch:
    return Watch(lambda _task: None, lambda _line: None, poll_seconds=0.1)


KILLED_AT = ("StopReplicationTask", "RotateSecret", "CancelRotateSecret", "StartReplicationTask")


def test_the_password_of_dms_rotates_by_one_command_that_is_taken_up_wherever_it_was_killed(
    phase: WholePhase, options: PhaseOptions, watch: Watch
) -> None:
    """As the migration role, which may not read the secret; killed before and after each call that changes anything."""
    api, task = phase.client("secretsmanager"), phase.client("dms")
    secret_arn = phase.stacks["secrets"]["DmsSecretArn"]

    def status() -> str:
        return str(task.describe_replication_tasks()["ReplicationTasks"][0]["Status"])

    def killed(operation: str, moment: Moment) -> None:
        def kill(now: Moment, call: ApiCall) -> None:
            if (now, call.operation) == (moment, operation):
                raise KeyboardInterrupt

        with Phase(options, observe_calls=kill) as opened, pytest.raises(KeyboardInterrupt):
            rotate.run(opened, watch)

    phase.wait_for_rotation()
    assert phase.source
    table = "CREATE TABLE public.rotated (id int PRIMARY KEY)"
    phase.source.administer(table, "GRANT ALL ON public.rotated TO public")
    with Phase(options) as opened:
        with opened.target() as target:
            target.run(table)
        running_task.run("start", opened.task, watch, until_loaded=False)
    before = api.describe_secret(SecretId=secret_arn)["VersionIdsToStages"]
    for operation in KILLED_AT:
        for moment in (Moment.BEFORE, Moment.AFTER):
            killed(operation, moment)
    with Phase(options) as opened:
        assert rotate.run(opened, watch).status == "running"
        with opened.target() as target:
            runs = [each for each in Journal(target).runs() if each.kind == rotate.KIND]
        assert [(each.name, each.is_over) for each in runs] == [("rotate-1", True)]
    after = api.describe_secret(SecretId=secret_arn)
    (current,) = (version for version, stages in after["VersionIdsToStages"].items() if "AWSCURRENT" in stages)
    (old,) = (version for version, stages in before.items() if "AWSCURRENT" in stages)
    assert (after["RotationEnabled"], after["VersionIdsToStages"][old]) == (False, ["AWSPREVIOUS"])
    assert (current != old, len(after["VersionIdsToStages"]), status()) == (True, 2, "running")
    with Phase(options) as opened:
        running_task.run("stop", opened.task, watch)
        rotate.run(opened, watch)
    assert status() == "stopped", "it rested before, and so it does afterwards"


def test_a_rotation_that_aws_refuses_leaves_the_task_stopped_and_says_so(options: PhaseOptions, watch: Watch) -> None:
    def refuse(now: Moment, call: ApiCall) -> None:
        if (now, call.operation) == (Moment.BEFORE, "RotateSecret"):
            raise AccessDenied("AWS refuses secretsmanager:RotateSecret")

    stays = "AWS refuses secretsmanager:RotateSecret. The task stays stopped"
    with Phase(options, observe_calls=refuse) as opened, pytest.raises(MigrationError, match=stays):
        rotate.run(opened, watch)
    with Phase(options) as opened:
        rotate.run(opened, watch)


def test_nothing_rotates_between_the_steps_of_a_cut_over(options: PhaseOptions, watch: Watch) -> None:
    """Though its task is at rest: the cut-over could not be taken up after another run."""
    with Phase(options) as opened:
        with opened.target() as target:
            log = Journal(target, opened.caller)
            log.prepare()
            log.write("cutover-1", "fence", "begins")
        with pytest.raises(MigrationError, match="cutover-1 is under way"):
            rotate.run(opened, watch)
