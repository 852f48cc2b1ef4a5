"""cfn-lint runs in this process, with the project's configuration and our rules, and finds what the command finds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from builders.building.lint import Linter
from builders.errors import UsageError
from builders.findings import Finding, Severity


def text_of(**resources: Any) -> str:
    return json.dumps({"Resources": resources}, indent=1)


TYPO = text_of(Topic={"Type": "AWS::SNS::Topic", "Properties": {"TopicNam": "x"}})
EMPTY_GROUP = text_of(
    Group={"Type": "AWS::RDS::DBSubnetGroup", "Properties": {"DBSubnetGroupDescription": "none", "SubnetIds": []}}
)
UNUSED_PARAMETER = json.dumps(
    {"Parameters": {"Unused": {"Type": "String"}}, "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}, indent=1
)
ZONE = text_of(Volume={"Type": "AWS::EC2::Volume", "Properties": {"AvailabilityZone": "us-east-1a", "Size": 1}})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, without the configuration of the user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def rules(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


@pytest.mark.usefixtures("folder")
def test_a_mistake_is_found_at_its_line_under_the_name_of_its_file() -> None:
    assert Linter(["us-east-1"]).lint("templates/topics.json", TYPO) == [
        Finding(
            "E3002",
            "Additional properties are not allowed ('TopicNam' was unexpected. Did you mean 'TopicName'?)",
            "templates/topics.json",
            6,
            5,
            Severity.ERROR,
        )
    ]


@pytest.mark.usefixtures("folder")
def test_a_warning_is_a_warning() -> None:
    (finding,) = Linter(["us-east-1"]).lint("a.json", UNUSED_PARAMETER)
    assert (finding.rule, finding.severity) == ("W2001", Severity.WARNING)


@pytest.mark.usefixtures("folder")
def test_our_own_rules_run_too() -> None:
    assert rules(Linter(["us-east-1"]).lint("a.json", EMPTY_GROUP)) == ["E9101"]


@pytest.mark.usefixtures("folder")
def test_one_linter_lints_many_templates_each_by_itself() -> None:
    linter = Linter(["us-east-1"])
    found = [rules(linter.lint("a.json", text)) for text in (TYPO, EMPTY_GROUP, TYPO)]
    assert found == [["E3002"], ["E9101"], ["E3002"]]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("processes", [1, 2, 9])
def test_many_templates_have_the_findings_that_each_has_by_itself(processes: int) -> None:
    linter = Linter(["us-east-1"])
    texts = {"typo.json": TYPO, "empty.json": EMPTY_GROUP, "zone.json": ZONE, "broken.json": "{"}
    assert dict(linter.lint_all(texts, processes)) == {name: linter.lint(name, text) for name, text in texts.items()}


@pytest.mark.usefixtures("folder")
def test_no_worker_outlives_a_parent_that_is_killed() -> None:
    program = "import os, signal; from builders.building.lint import Linter\n"
    program += f"found = Linter(['us-east-1']).lint_all(dict.fromkeys('abcdefgh', {TYPO!r}), 2); next(found)\n"
    program += "print(open(f'/proc/self/task/{os.getpid()}/children').read(), flush=True)\n"
    program += "os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False, timeout=60)
    workers = killed.stdout.split()
    assert (killed.returncode, len(workers)) == (-signal.SIGKILL, 2)
    deadline = time.monotonic() + 60
    while any(Path("/proc", each).exists() for each in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.usefixtures("folder")
def test_no_template_has_no_finding() -> None:
    assert dict(Linter(["us-east-1"]).lint_all({}, processes=2)) == {}


@pytest.mark.usefixtures("folder")
def test_a_text_that_is_no_template_is_a_finding() -> None:
    assert rules(Linter(["us-east-1"]).lint("a.json", "{")) == ["E0000"]


def test_the_configuration_of_the_project_is_honoured(folder: Path) -> None:
    (folder / ".cfnlintrc").write_text("ignore_checks: [E3002]\nregions: [us-west-1]\n", encoding="utf-8")
    linter = Linter()
    assert (linter.regions, linter.lint("a.json", TYPO)) == (["us-west-1"], [])


def test_regions_that_are_asked_for_go_before_those_of_the_project(folder: Path) -> None:
    (folder / ".cfnlintrc").write_text("regions: [us-west-1]\n", encoding="utf-8")
    assert Linter(["eu-central-1", "us-east-1"]).regions == ["eu-central-1", "us-east-1"]


def test_templates_that_the_project_names_need_not_be_there(folder: Path) -> None:
    (folder / ".cfnlintrc").write_text("templates: [templates/*.json]\n", encoding="utf-8")
    assert Linter().lint("a.json", text_of(Topic={"Type": "AWS::SNS::Topic"})) == []


def test_our_rules_may_be_in_the_configuration_of_the_project(folder: Path) -> None:
    (folder / ".cfnlintrc").write_text("append_rules: [builders.rules]\n", encoding="utf-8")
    assert rules(Linter().lint("a.json", EMPTY_GROUP)) == ["E9101"]


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ("regionz: [us-east-1]", r"^\.cfnlintrc: cfn-lint refuses it: .*regionz"),
        ("append_rules: [no.such.rules]", r"^\.cfnlintrc: cfn-lint refuses it: .*No module named 'no'"),
        ("regions: [", r"^\.cfnlintrc: cfn-lint refuses it: "),
        ("override_spec: no/such.json", r"^\.cfnlintrc: cfn-lint cannot read the file that override_spec names$"),
    ],
)
def test_a_configuration_that_cfn_lint_refuses_is_wrong_use(folder: Path, configuration: str, message: str) -> None:
    (folder / ".cfnlintrc").write_text(configuration, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        Linter()


@pytest.mark.usefixtures("folder")
def test_a_region_that_aws_does_not_have_is_wrong_use() -> None:
    with pytest.raises(UsageError, match=r"^unknown region 'us-east-9', did you mean 'us-east-\d'\? regions are "):
        Linter(["us-east-1", "us-east-9"])


def test_the_findings_are_those_of_the_cfn_lint_command_with_the_projects_configuration(
    folder: Path, project_root: Path
) -> None:
    (folder / ".cfnlintrc").write_text((project_root / ".cfnlintrc").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "templates").mkdir()
    texts = {"templates/empty.json": EMPTY_GROUP, "templates/typo.json": TYPO, "templates/zone.json": ZONE}
    for name, text in texts.items():
        Path(name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", "from cfnlint.runner import main; main()", "--format", "json"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    commands_findings = {
        (found["Rule"]["Id"], found["Message"], found["Filename"], found["Location"]["Start"]["LineNumber"])
        for found in json.loads(finished.stdout)
    }
    linter = Linter()
    ours = [finding for name, text in texts.items() for finding in linter.lint(name, text)]
    assert {(found.rule, found.message, found.file, found.line) for found in ours} == commands_findings
    assert {"E3002", "E9101"} <= {found.rule for found in ours}
