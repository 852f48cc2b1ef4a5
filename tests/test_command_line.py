"""All commands: versions, whole help, and one line with an exit code for whatever is in the way."""

from __future__ import annotations

import configparser
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
import warm
from rich.table import Table

from builders import advice, command_line, terminal
from builders.errors import UsageError

COMMANDS = {
    "build-templates": "builders.build",
    "migrate-database": "builders.migration",
    "rollout-stacksets": "builders.rehearsal.cli",
    "stackferry-init": "builders.init",
    "write-outputs": "builders.write_outputs",
    "builders.demo": "builders.demo",
    "builders.cloud": "builders.cloud",
    "builders.cloud.rds.on_premises": "builders.cloud.rds.on_premises",
}
PYTHON = shlex.quote(sys.executable)
"""As a shell takes it, in a folder with a space in its name."""


def call(
    module: str, *arguments: str | Path, stdout: int = subprocess.PIPE, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )


@pytest.mark.parametrize("module", [module for module in COMMANDS.values() if not module.endswith("on_premises")])
def test_every_command_says_its_version(module: str) -> None:
    said = call(module, "--version")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.split()[-1] == version("stackferry")


def test_an_installed_command_looks_for_circles_as_python_does_once_its_modules_are_loaded() -> None:
    program = (
        "import gc; from builders import build, start; "
        "build.main = lambda: print(gc.isenabled(), gc.get_freeze_count() > 0) or 0; start.build_templates()"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == (
        "True True\n"
    )


@pytest.mark.parametrize("module", ["builders.migration", "builders.rehearsal.cli"])
def test_help_cuts_no_sentence_of_a_subcommand(module: str) -> None:
    said = call(module, "--help")
    assert said.returncode == 0
    assert "..." not in said.stdout.partition("Commands:")[2]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_no_defect(name: str, unbuffered: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        said = call(COMMANDS[name], "--help", stdout=full, environment={"PYTHONUNBUFFERED": unbuffered})
    finally:
        os.close(full)
    assert said.returncode == command_line.FAILED
    assert said.stderr == f"{name}: the output cannot be written: No space left on device; make room\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_under_stderr_changes_no_exit_code(name: str) -> None:
    command = f"{PYTHON} -m {COMMANDS[name]} --no-such-option 2> /dev/full"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == command_line.WRONG_USE


@pytest.mark.parametrize(
    ("module", "arguments", "lacking", "extra"),
    [
        ("builders.cloud", (), "pg8000.native", "cloud"),
        ("builders.cloud.rds.on_premises", ("--state-dir", "nowhere"), "cryptography", "cloud"),
        ("builders.demo", (), "cryptography", "cloud"),
        ("builders.migration", ("status", "--phase", "dev"), "psycopg", "migrate"),
    ],
)
def test_a_command_without_its_extra_says_how_to_install_it(
    module: str, arguments: tuple[str, ...], lacking: str, extra: str
) -> None:
    program = (
        f"import runpy, sys; sys.modules[{lacking!r}] = None; sys.argv = {['it', *arguments]!r}; "
        f"runpy.run_module({module!r}, run_name='__main__')"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    line = f"{lacking} is not installed; pip install 'stackferry[{extra}]'\n"
    assert (said.returncode, said.stdout, said.stderr.partition(": ")[2]) == (command_line.WRONG_USE, "", line)


def test_a_reader_that_has_seen_enough_and_a_closed_stdout_are_no_defect() -> None:
    for shell in (" | head -1 > /dev/null", " >&-"):
        command = f"{PYTHON} -m builders.rehearsal.cli --help{shell}"
        said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert (said.returncode, said.stderr) == (0, ""), shell


def test_a_closed_stdin_is_no_terminal_and_no_defect() -> None:
    work = "lambda: print(sys.stdin.isatty(), repr(sys.stdin.read()))"
    program = f"import sys; from builders import command_line; command_line.run('it', {work}, interrupted='')"
    command = f'{PYTHON} -c "{program}" <&-'
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "False ''\n", "")


ENDPOINT = {
    "AWS_ENDPOINT_URL": "127.0.0.1:4566",
    "AWS_ACCESS_KEY_ID": "111111111111",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_CONFIG_FILE": os.devnull,
}


@pytest.mark.parametrize("url", ["127.0.0.1:4566", "http://127.0.0.1:99999"])
def test_an_endpoint_that_is_no_url_is_one_line(url: str, tmp_path: Path) -> None:
    outputs = tmp_path / "dev" / "flat-outputs.json"
    outputs.parent.mkdir()
    task = "arn:aws:dms:us-east-1:111111111111:task:abc"
    outputs.write_text(f'{{"replicationTaskArn": "{task}"}}', encoding="utf-8")
    given = {**os.environ, **ENDPOINT, "AWS_ENDPOINT_URL": url}
    status = ["builders.migration", "status", "--phase", "dev", "--role", "none", "--outputs-dir", str(tmp_path)]
    for command in (["builders.rehearsal.cli", "plan", "--phase", "dev"], status):
        said = warm.run([sys.executable, "-m", *command], env=given)
        assert said.returncode == command_line.FAILED
        assert "an endpoint, as in AWS_ENDPOINT_URL, is a URL such as http://127.0.0.1:4566" in said.stderr
        assert "a defect" not in said.stderr


@pytest.mark.parametrize(
    ("account", "line"),
    [
        ("123456789012", "no server has used nowhere: name the --state-dir of one that runs"),
        ("12", "'12' is not an account"),
    ],
)
def test_credentials_of_no_server_and_of_no_account_are_refused(account: str, line: str) -> None:
    said = call("builders.cloud", "--credentials", account, "--state-dir", "nowhere")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith(f"builders.cloud: {line}")


class Refusal:
    """Something that a command's work meets."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self) -> int:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("no such phase"), 2, "no such phase"),
        (KeyboardInterrupt(), 130, "interrupted; nothing was changed"),
        (command_line.Interrupted("a stack goes on"), 130, "interrupted; a stack goes on"),
        (PermissionError(13, "Permission denied", "outputs"), 1, "outputs: Permission denied; make it readable"),
        (OSError(30, "Read-only file system", "x"), 1, "x: Read-only file system; make it readable and writable, or"),
        (NotADirectoryError(20, "Not a directory", "a/b"), 1, "a/b: Not a directory; name another"),
        (ModuleNotFoundError("No module", name="psycopg.rows"), 2, "pip install 'stackferry[migrate]'"),
        (ModuleNotFoundError("No module", name="ministack"), 2, "pip install 'stackferry[cloud]'"),
        (ZeroDivisionError("by zero"), 1, "a defect of it, please report it: ZeroDivisionError: by zero"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_a_command_meets_is_a_line_and_an_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.run("it", Refusal(error), interrupted="nothing was changed") == code
    said = capsys.readouterr().err
    assert said.startswith("it: ")
    assert line in said
    assert said.count("\n") == 1


def installed() -> dict[str, str]:
    """The function of each command that an installation makes."""
    settings = configparser.ConfigParser()
    settings.read("setup.cfg", encoding="utf-8")
    lines = settings["options.entry_points"]["console_scripts"].strip().splitlines()
    return {name.strip(): where.strip() for name, where in (line.split("=") for line in lines)}


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("name", installed())
def test_an_interrupt_while_a_command_is_loaded_is_one_line(name: str, how: str) -> None:
    module, function = installed()[name].split(":")
    program = f"""
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
class Interrupting:
    def find_spec(name, path, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.{how})
sys.meta_path.insert(0, Interrupting)
from {module} import {function}
sys.exit({function}())
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (130, f"{name}: interrupted; nothing was changed\n")


@pytest.mark.parametrize(
    ("module", "imported"),
    [("builders.demo", "psycopg"), ("builders.cloud", "builders.cloud.process")],
)
def test_an_interrupt_while_a_module_is_run_and_loaded_is_one_line(module: str, imported: str) -> None:
    program = f"""
import os, runpy, signal, sys
class Interrupting:
    def find_spec(name, path, target=None):
        if name == {imported!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting)
sys.argv = ["it", "--version"]
runpy.run_module({module!r}, run_name="__main__")
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (130, f"{module}: interrupted; nothing was changed\n")


ENDED = """
import os, signal, sys
from builders import build, command_line, start
def work():
    try:
        os.kill(os.getpid(), signal.{first})
    finally:
        os.kill(os.getpid(), signal.{then})
        print("undone")
build.main = lambda: command_line.run("it", work, interrupted="a task goes on")
signal.signal(signal.SIGHUP, signal.{before})
sys.exit(start.build_templates())
"""


@pytest.mark.parametrize(("first", "then"), [("SIGTERM", "SIGCONT"), ("SIGHUP", "SIGCONT"), ("SIGHUP", "SIGHUP")])
def test_a_command_that_works_ends_at_sigterm_and_with_its_terminal_as_at_an_interrupt(first: str, then: str) -> None:
    """Both the kernel and the shell send SIGHUP: the second one does not keep a cut-over from being undone."""
    program = ENDED.format(first=first, then=then, before="SIG_DFL")
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (130, "undone\n", "it: interrupted; a task goes on\n")


def test_a_command_under_nohup_goes_on_without_its_terminal() -> None:
    program = ENDED.format(first="SIGHUP", then="SIGHUP", before="SIG_IGN")
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "undone\n", "")


def test_a_table_in_a_pipe_is_not_cut() -> None:
    arn, pipe = f"arn:aws:dms:eu-central-1:111111111111:task:{'X' * 300}", io.StringIO()
    table = Table("layer", "output", "value")
    table.add_row("migration", "ReplicationTaskArn", arn)
    terminal.console(pipe).print(table)
    assert arn in pipe.getvalue()


def test_a_directory_that_is_gone_is_one_line(tmp_path: Path) -> None:
    """A shell that was left in it calls a command."""
    program = (
        "import os, sys; from builders import command_line; os.rmdir(os.getcwd()); "
        "sys.exit(command_line.run('it', os.getcwd, interrupted=''))"
    )
    gone = tmp_path / "gone"
    gone.mkdir()
    command = [sys.executable, "-c", program]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    said = subprocess.run(command, cwd=gone, env=variables, capture_output=True, text=True, check=False)
    line = "it: the current directory is not there any more; change into another\n"
    assert (said.returncode, said.stderr) == (1, line)


def test_a_full_disk_names_the_file_that_was_written(tmp_path: Path) -> None:
    """A limit on the size of files is as full as a disk can be."""
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16)); "
        "from builders import command_line, files; from pathlib import Path; "
        "sys.exit(command_line.run('it', lambda: files.replace(Path(sys.argv[1]), bytes(99)), interrupted=''))"
    )
    written = tmp_path / "outputs.json"
    nothing_compiled = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", program, str(written)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=nothing_compiled)
    assert (said.returncode, said.stderr) == (1, f"it: {written}: File too large; make room\n")


def test_json_stays_json_whatever_the_options_are_called(capsys: pytest.CaptureFixture[str]) -> None:
    with advice.given():
        advice.give({"--file": Path('it\'s "mine".yaml')})
        found = {"fix": ["run `rollout-stacksets bootstrap`"]}
        command_line.print_json(found)
    (fix,) = json.loads(capsys.readouterr().out)["fix"]
    assert shlex.split(fix.split("`")[1]) == ["rollout-stacksets", "bootstrap", "--file", 'it\'s "mine".yaml']


def test_an_advised_command_has_the_options_that_were_given() -> None:
    with advice.given():
        advice.give({"--file": Path("my files/rollout.yaml"), "--phase": "dev"})
        said = advice.completed("run `rollout-stacksets bootstrap --phase dev` first; `status` shows it")
        with advice.given():
            assert advice.completed("`rollout-stacksets resume`") == "`rollout-stacksets resume`"
    assert said == (
        "run `rollout-stacksets bootstrap --phase dev --file 'my files/rollout.yaml'` first; `status` shows it"
    )
