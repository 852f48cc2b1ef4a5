"""The command `build-templates`: its options, exit codes and streams, and that nobody ever reads a traceback."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import warm

from builders import catalog
from builders.build import main

Command = Callable[..., subprocess.CompletedProcess[str]]

COLORFUL = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
RUN = "import sys; from builders.build import main; sys.exit(main())"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a folder with a space in its name, which is the current directory."""
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "environments").mkdir()
    (folder / ".cfnlintrc").write_text("regions: [us-east-1]\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def own_cache(project: Path) -> dict[str, str]:
    """The variable that gives a project a cache of its own."""
    return {"XDG_CACHE_HOME": str(project.parent / "cache")}


@pytest.fixture
def build(project: Path) -> Command:
    """Runs the command in a process of its own; `before` is Python that runs there first, in one that starts anew."""

    def run(*arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        environment = COLORFUL | own_cache(project) | environment
        if not before and "PYTHONHASHSEED" not in environment:
            return warm.run([sys.executable, "-m", "builders.build", *arguments], cwd=project, env=environment)
        return subprocess.run(
            [sys.executable, "-c", f"{before}\n{RUN}", *arguments],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def with_layer(folder: Path, source: str) -> str:
    """Python that adds a layer `extra` to those of Stackferry."""
    (folder / "more_layers").mkdir()
    (folder / "more_layers" / "extra.py").write_text(source, encoding="utf-8")
    return f"from builders import layers; layers.__path__.append({str(folder / 'more_layers')!r})"


def test_a_clean_build_exits_with_0_and_says_nothing_on_stdout(build: Command, project: Path) -> None:
    finished = build("--no-lint")
    assert (finished.returncode, finished.stdout) == (0, "")
    assert sorted(path.stem for path in (project / "templates").iterdir()) == catalog.layer_names()


def test_findings_exit_with_1_and_go_to_stdout(build: Command) -> None:
    finished = build("--check", "--no-lint", "foundation")
    assert (finished.returncode, finished.stdout, finished.stderr) == (
        1,
        "templates/foundation.json: error stale-template: foundation: templates/foundation.json is missing; "
        "run build-templates and commit what it writes\n",
        "checked: 1 template in templates and 0 parameter files in environments, without lint: 1 finding\n",
    )


@pytest.mark.parametrize("arguments", [["--json"], ["--report", "json"]])
def test_findings_can_be_json(build: Command, arguments: Sequence[str]) -> None:
    finished = build("--check", "--no-lint", "foundation", *arguments)
    assert [(found["rule"], found["file"]) for found in json.loads(finished.stdout)] == [
        ("stale-template", "templates/foundation.json")
    ]


@pytest.mark.parametrize("report", ["text", "json", "sarif"])
def test_a_folder_whose_name_has_bytes_of_another_encoding_is_checked_and_remembered(
    build: Command, project: Path, report: str
) -> None:
    folder = os.fsdecode(b"env\xff")
    (project / folder).mkdir()
    (project / folder / "dev.json").write_text('["A"]', encoding="utf-8")
    for _ in range(2):
        finished = build("--check", "--no-lint", "--environments-dir", folder, "--report", report)
        assert (finished.returncode, "a defect" in finished.stderr) == (1, False)
        assert {"text": r"env\udcff/dev.json", "json": r"env\udcff/dev.json", "sarif": "env%FF/dev.json"}[
            report
        ] in finished.stdout


def test_findings_can_be_sarif(build: Command) -> None:
    finished = build("--check", "--no-lint", "foundation", "--report", "sarif")
    (run,) = json.loads(finished.stdout)["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["stale-template"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["netwrok"], "build-templates: unknown layer 'netwrok', did you mean 'network'? layers are "),
        (["--regions", "us-east-9", "foundation"], "build-templates: unknown region 'us-east-9', did you mean "),
        (["--check", "--environments-dir", "nowhere"], "build-templates: no folder nowhere here; "),
        (["--templates-dir", ".cfnlintrc"], "build-templates: cannot write .cfnlintrc/"),
        (["--chekc"], "Error: No such option"),
        (["--format", "toml"], "Error: Invalid value for '--format'"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_is_right(build: Command, arguments: Sequence[str], message: str) -> None:
    finished = build(*arguments)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_configuration_of_another_form_is_wrong_use(build: Command, project: Path) -> None:
    (project / ".cfnlintrc").write_bytes(b"\xff\xfe\x00")
    finished = build("foundation")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "build-templates: .cfnlintrc: cfn-lint refuses it: 'utf-8' codec can't decode" in finished.stderr


def test_a_layer_that_raises_is_a_finding_and_the_others_are_built(build: Command, project: Path) -> None:
    finished = build("--no-lint", before=with_layer(project, "raise RuntimeError('no way')"))
    assert (finished.returncode, finished.stdout) == (
        1,
        "more_layers/extra.py:1: error layer: extra: the module cannot be imported: RuntimeError: no way\n",
    )
    assert (project / "templates" / "network.json").exists()


def test_an_interrupt_exits_with_130_and_one_line(build: Command, project: Path) -> None:
    finished = build("--no-lint", before=with_layer(project, "raise KeyboardInterrupt"))
    assert (finished.returncode, finished.stderr.strip()) == (
        130,
        "build-templates: interrupted; every template is whole, the old one or the new one",
    )


def test_a_full_disk_is_one_line_and_leaves_no_part_of_a_template(build: Command, project: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    finished = build("--no-lint", "foundation", before=limit, PYTHONDONTWRITEBYTECODE="1")
    assert (finished.returncode, finished.stderr) == (
        2,
        "build-templates: cannot write templates/foundation.json: File too large; make room, make it writable, or say "
        "--templates-dir\n",
    )
    assert list((project / "templates").iterdir()) == []


def test_a_reader_that_goes_away_is_no_traceback(project: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "--check", "--no-lint"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.wait()
    process.stderr.close()


def modules_after(build: Command, *arguments: str) -> set[str]:
    """The packages that the process has imported when the command is done."""
    report = "import atexit, sys; atexit.register(lambda: print(*sys.modules, sep=chr(10), file=sys.stderr))"
    return {line.partition(".")[0] for line in build(*arguments, before=report).stderr.splitlines()}


def test_boto3_is_never_loaded(build: Command) -> None:
    loaded = modules_after(build, "--check", "foundation")
    assert "cfnlint" in loaded
    assert loaded.isdisjoint({"boto3", "botocore"})


@pytest.mark.parametrize("arguments", [["--no-lint"], ["--check", "--no-lint"], ["--help"]])
def test_cfn_lint_is_not_loaded_when_nothing_is_linted(build: Command, arguments: Sequence[str]) -> None:
    loaded = modules_after(build, *arguments)
    assert "click" in loaded
    assert loaded.isdisjoint({"cfnlint", "boto3", "rich"})


def test_yaml_is_loaded_when_it_is_asked_for_alone(build: Command) -> None:
    in_json = modules_after(build, "secrets", "--no-lint", "--no-cache")
    in_yaml = modules_after(build, "secrets", "--no-lint", "--no-cache", "--format", "yaml")
    assert ("yaml" in in_json, "yaml" in in_yaml) == (False, True)


def test_a_layer_that_asks_troposphere_for_yaml_gets_it_in_a_build(build: Command) -> None:
    asked = "from troposphere import Template; print(Template(Description='late').to_yaml(), file=sys.stderr)"
    late = f"import atexit, sys; atexit.register(lambda: exec({asked!r}))"
    assert "Description: late" in build("secrets", "--no-lint", "--no-cache", before=late).stderr


def test_what_is_recalled_waits_for_neither_troposphere_nor_cfn_lint(build: Command) -> None:
    assert {"cfnlint", "troposphere"} <= modules_after(build, "secrets")
    assert modules_after(build, "secrets").isdisjoint({"awacs", "cfnlint", "json", "troposphere", "yaml"})


def test_the_order_of_hashes_does_not_change_a_byte(build: Command, project: Path) -> None:
    contents = []
    for seed in ("0", "1", "4242"):
        build("--no-lint", "--templates-dir", seed, PYTHONHASHSEED=seed)
        contents.append({path.name: path.read_bytes() for path in (project / seed).iterdir()})
    assert contents[0] == contents[1] == contents[2]


def on_a_terminal(project: Path, **environment: str) -> str:
    """The stderr that a terminal shows while one layer is built and linted."""
    controller, terminal = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", RUN, "foundation"],
            cwd=project,
            env=COLORFUL | own_cache(project) | {"TERM": "xterm-256color"} | environment,
            stdout=subprocess.DEVNULL,
            stderr=terminal,
            check=False,
        )
    finally:
        os.close(terminal)
    with open(controller, "rb") as stream:
        return stream.read1().decode()


def test_a_terminal_shows_progress(project: Path) -> None:
    shown = on_a_terminal(project)
    assert "linting foundation" in shown
    assert "\x1b[" in shown


def test_a_terminal_without_colors_shows_plain_lines(project: Path) -> None:
    assert on_a_terminal(project, NO_COLOR="1") == "1 template built, 1 written\r\n"


def test_a_pipe_gets_plain_lines(build: Command) -> None:
    assert build("foundation").stderr == "1 template built, 1 written\n"


def test_the_templates_and_the_environments_of_this_project_are_clean(
    project_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project_root)
    code = main(["--check", "--no-cache"])
    assert (code, capsys.readouterr().out) == (0, "")
