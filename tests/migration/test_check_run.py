"""A run of the check: what it prints, what is accepted and kept, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from builders.aws.errors import AccessDenied
from builders.errors import MigrationError, UsageError
from builders.migration.check import assessment, running, table_rules
from builders.migration.check.running import Wishes
from builders.migration.check.undeployed import Undeployed, rules_of
from builders.migration.cli import main
from builders.migration.databases import Database
from builders.migration.phase import Phase, PhaseOptions
from builders.migration.task.values import LoadProgress, Task
from tools import check_page, written_files

from .conftest import Pair

NAME = "no-key:payments.without"


class Api:
    """AWS as far as a check asks it: `answers` by operation, an error where there is none."""

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[str] = []

    def ask(self, _service: str, operation: str, **_request: Any) -> Any:
        self.asked.append(operation)
        answer = self.answers.get(operation)
        if answer is None:
            raise AccessDenied(f"dms:{operation} is not allowed")
        return answer

    def pages(self, service: str, operation: str, **request: Any) -> Iterator[Any]:
        yield from self.ask(service, operation, **request)


class PhaseOfTest:
    """A phase of two databases, without a cloud."""

    name = "dev"
    schemas = ("payments",)
    caller = "arn:aws:sts::111111111111:assumed-role/carries/somebody"
    outputs: Mapping[str, str] = {}
    source_user = "ferry_source"
    fallback_secret = ""
    plugin = "test-decoding"

    def __init__(self, both: Pair, *, has_target: bool = True) -> None:
        self._both = both
        self._has_target = has_target
        self.session = Api()
        self.task = self
        self.arn = "arn:aws:dms:eu-central-1:111111111111:task:T"

    def source(self) -> Database:
        return self._both.database("source")

    def target(self) -> Database:
        if not self._has_target:
            raise MigrationError("the target refuses ferry_owner at db:5432/payments: nothing listens there")
        return self._both.database("target")

    @property
    def fallback_user(self) -> str:
        if self.fallback_secret == "denied":
            raise AccessDenied("secretsmanager:GetSecretValue is not allowed")
        return self.fallback_secret

    def table_mappings(self) -> list[dict[str, Any]]:
        return []

    def __call__(self) -> Task:
        nothing = LoadProgress(0, 0, 0, 0, 0)
        return Task(self.arn, "arn:rep", ("s", "t"), "ready", "", "", "full-load-and-cdc", "", progress=nothing)


Check = Callable[..., int]


def with_a_finding(pair: Callable[..., Pair]) -> Pair:
    made = pair("CREATE SCHEMA payments", "CREATE TABLE payments.without (a int)")
    made.administer("source", f"GRANT CREATE ON DATABASE {made.name} TO ferry_source")
    return made


@pytest.fixture(scope="module")
def both(pair: Callable[..., Pair]) -> Pair:
    """Databases with one finding, of which the target keeps no acceptance."""
    return with_a_finding(pair)


@pytest.fixture
def own(pair: Callable[..., Pair]) -> Pair:
    """Databases in which a test may accept."""
    return with_a_finding(pair)


def run(both: Pair, *, has_target: bool = True, as_json: bool = False, **wishes: Any) -> int:
    phase = PhaseOfTest(both, has_target=has_target)
    phase.task.task = phase
    return running.run(cast(Phase, phase), Wishes(watch_seconds=0.01, **wishes), as_json=as_json)


def test_an_open_finding_is_exit_code_1_and_named_with_its_remedy(
    both: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(both) == 1
    out = capsys.readouterr().out
    assert "LOSES: does not arrive, or not as it was" in out
    assert "payments.without: DMS carries no UPDATE and no DELETE" in out
    assert "ALTER TABLE payments.without ADD COLUMN" in out
    assert f"--accept '{NAME}'" in out
    assert "1 table, no rows that ANALYZE has counted, " in out
    assert "a load takes" in out


def test_an_accepted_finding_is_kept_by_the_target_and_shown_in_later_reports(
    own: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(own, accept=[NAME]) == 0
    assert "payments.without [accepted]" in capsys.readouterr().out
    assert run(own) == 0
    assert "payments.without [accepted]" in capsys.readouterr().out
    with own.database("target") as target:
        ((finding, caller),) = target.run("SELECT finding, caller FROM stackferry_state.accepted")
    assert (finding, caller) == (NAME, PhaseOfTest.caller)


def test_until_the_target_stands_a_file_keeps_what_is_accepted(
    both: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "accepted.json"
    assert run(both, has_target=False, accept=[NAME], accepted_file=kept) == 0
    assert run(both, has_target=False, accepted_file=kept) == 0
    assert "nothing listens there" in capsys.readouterr().out
    assert [each["finding"] for each in json.loads(kept.read_text())] == [NAME]
    with pytest.raises(UsageError, match="--accepted FILE keeps it beside"):
        run(both, has_target=False, accept=[NAME])


def test_a_name_of_no_finding_is_refused_and_nothing_is_kept(both: Pair) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'no-key:payments\.without'"):
        run(both, accept=["no-key:payments.withou"])
    with both.database("target") as target:
        assert target.value("SELECT to_regclass('stackferry_state.accepted')") is None


def test_a_file_that_is_no_list_of_accepted_findings_is_refused(both: Pair, tmp_path: Path) -> None:
    broken = tmp_path / "accepted.json"
    broken.write_text('{"a": 1}')
    with pytest.raises(UsageError, match="is not a list of accepted findings"):
        run(both, accepted_file=broken)


def test_a_secret_that_may_not_be_read_leaves_its_users_rights_out(both: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PhaseOfTest, "fallback_secret", "denied")
    assert run(both) == 1


def test_json_has_all_findings_and_the_estimate(both: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    run(both, as_json=True)
    data = json.loads(capsys.readouterr().out)
    (found,) = [each for each in data["findings"] if each["id"] == "no-key"]
    assert found["object"] == "payments.without"
    assert found["severity"] == "loses"
    assert found["accepted"] is False
    assert data["open"] == 1
    assert data["estimate"]["tables"] == 1


def test_a_name_cannot_steer_the_terminal(pair: Callable[..., Pair], capsys: pytest.CaptureFixture[str]) -> None:
    made = pair("CREATE SCHEMA payments", 'CREATE TABLE payments."a\x1b[31m" (id int)')
    run(made)
    assert "\x1b" not in capsys.readouterr().out


def test_an_assessment_without_bucket_and_role_is_one_line(both: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    run(both)
    assert "DMS's own assessment was not started: it needs a bucket and a role" in capsys.readouterr().out


RUN = {"ReplicationTaskAssessmentRunArn": "arn:run", "Status": "failed"}


def assess(api: Api) -> assessment.Assessment:
    return assessment.run(cast(Any, api), "arn:task", "results", "arn:role", sleep=lambda _seconds: None)


def test_what_fails_in_dms_own_assessment_is_a_finding() -> None:
    api = Api({
        "StartReplicationTaskAssessmentRun": {"ReplicationTaskAssessmentRun": {**RUN, "Status": "starting"}},
        "DescribeReplicationTaskAssessmentRuns": {"ReplicationTaskAssessmentRuns": [RUN]},
        "DescribeReplicationTaskIndividualAssessments": {"ReplicationTaskIndividualAssessments": [
            {"IndividualAssessmentName": "postgres-check-pk-lob", "Status": "failed"},
            {"IndividualAssessmentName": "postgres-check-wallevel", "Status": "passed"},
        ]},
    })  # fmt: skip
    result = assess(api)
    assert [each.name for each in result.findings] == ["assessment:postgres-check-pk-lob"]
    assert "failed (1 failed, 1 passed)" in result.summary


def test_an_assessment_that_may_not_be_started_is_one_line() -> None:
    result = assess(Api())
    assert result.findings == ()
    assert "StartReplicationTaskAssessmentRun is not allowed" in result.summary


def test_the_page_of_all_findings_is_fresh() -> None:
    assert written_files.check("tools.check_page", check_page.desired_files()) == []


def test_a_phase_that_is_not_deployed_is_checked_by_the_secret_of_its_source(
    both: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    login = both.login("source")
    secret = {"username": login.username, "password": login.password, "host": login.host, "port": login.port}
    options = PhaseOptions("dev", tmp_path, source_secret="arn:aws:secretsmanager:eu-central-1:1:secret:s",
                      source_address=login.address)  # fmt: skip
    phase = Undeployed(options, ["payments"], both.name, None)
    phase.__dict__["session"] = Api({"GetSecretValue": {"SecretString": json.dumps(secret)}})
    rule = table_rules.exclude_table("payments", "without")
    assert running.run_undeployed(phase, Wishes(watch_seconds=0.01), as_json=False) == 1
    assert running.run_undeployed(phase, Wishes(watch_seconds=0.01, table_rules=rule), as_json=False) == 0
    assert "excluded-table" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("--schema", "payments"), ("--schema", "payments", "--database", "p")])
def test_such_a_phase_needs_secret_and_database(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--phase", "dev", *arguments]) == 2
    assert "needs --source-secret and --database" in capsys.readouterr().err


def test_rules_that_are_none_are_wrong_use() -> None:
    with pytest.raises(UsageError, match="joined by commas"):
        list(rules_of("not json"))
