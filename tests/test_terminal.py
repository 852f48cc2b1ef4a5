"""Whatever files, AWS, DMS and databases say: a terminal and a log take it for text, and it forges no line."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import datetime
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.table import Table as RichTable

from builders import build, findings, progress, terminal
from builders.errors import ParameterFileError, RolloutError, RolloutFileError, StackferryError
from builders.findings import Finding
from builders.migration import cli as migrate_database
from builders.migration.check import report as check_report, showing as check_showing
from builders.migration.check.hazards import HazardFinding, Severity
from builders.migration.check.sizes import Estimate
from builders.migration.rows import Difference, Digest
from builders.migration.task import showing as task_showing
from builders.migration.task.values import TableStatistics, Task, task_of
from builders.migration.verify import showing as verify_showing
from builders.migration.verify.running import TableResult, VerifyReport
from builders.rehearsal.rehearsal import Expectations
from builders.rollout.cli import main as rollout_stacksets
from builders.text import printable

ROOT = Path(__file__).parents[1]
HOSTILE = "evil\x1b[2J\x1b]0;title\x07\x9b31m\r\n[ok] forged\x0b\x85\u2028\u202e\u2066\ud800\x00 [red]x[/red] [/nor]"
SHOWN = r"evil\x1b[2J\x1b]0;title\x07\x9b31m  [ok] forged   \u202e\u2066\ud800\x00 [red]x[/red] [/nor]"
"""In one line: each line break is a space."""


def is_plain(text: str) -> bool:
    return all(letter in "\n\t" or letter.isprintable() for letter in text)


def lines_that_begin(text: str, forged: str = "[ok] forged") -> list[str]:
    return [line for line in text.splitlines() if line.lstrip(" -").startswith(forged)]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """The output since then; it fails where a part of it is more than text, or a line is forged."""

    def read() -> str:
        both = "".join(capsys.readouterr())
        assert is_plain(both)
        assert lines_that_begin(both) == []
        return both

    return read


def test_a_value_becomes_one_line_that_can_be_printed() -> None:
    assert printable(HOSTILE) == SHOWN


@pytest.mark.parametrize("value", ["plain", "Größe 日本語", "a b"])
def test_what_can_be_printed_stays_as_it_is(value: str) -> None:
    assert printable(value) == value


@pytest.mark.parametrize("error", [StackferryError, RolloutError, ParameterFileError])
def test_the_message_of_an_error_is_one_line(error: type[StackferryError]) -> None:
    assert str(error(HOSTILE)) == SHOWN


def test_each_mistake_in_a_file_is_one_line() -> None:
    assert str(RolloutFileError("first", HOSTILE)) == f"first\n{SHOWN}"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_a_stream_passes_on_printable_text_and_fails_for_no_encoding(encoding: str) -> None:
    behind = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    stream = terminal.PlainStream(behind)
    print(f"{HOSTILE}\té日本", file=stream, flush=True)
    written = behind.buffer.getvalue().decode(encoding)
    assert is_plain(written)
    assert "\n[ok] forged" in written  # line breaks are the caller's, who makes values one line
    assert "\té" in written or "\t\\xe9" in written


def test_a_console_escapes_all_but_its_own_control_characters() -> None:
    stream = io.StringIO()
    console = terminal.console(stream, force_terminal=True, width=200, color_system="standard")
    table = RichTable("name")
    table.add_row(HOSTILE)
    console.print(table)
    console.print(HOSTILE, style="red")
    written = stream.getvalue()
    assert "\x1b[31mevil" in written  # rich's own colour
    assert "\x1b[2J" not in written
    assert "[red]x[/red] [/nor]" in written
    assert is_plain(written.replace("\x1b[31m", "").replace("\x1b[0m", "").replace("\x1b[1m", ""))


def test_nothing_but_the_one_module_makes_consoles_and_no_column_reads_markup() -> None:
    found = []
    for path in sorted((ROOT / "src/builders").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            to_memory = any(
                keyword.arg == "file" and ast.unparse(keyword.value) == "io.StringIO()" for keyword in node.keywords
            )
            if node.func.id == "Console" and not to_memory:
                found.append(f"{path.name}: {ast.unparse(node)}")
            markup = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "markup"]
            if node.func.id == "TextColumn" and "description" in ast.unparse(node) and markup != ["False"]:
                found.append(f"{path.name}: {ast.unparse(node)}")
    assert found == []


def test_a_bar_on_a_terminal_shows_a_name_as_it_is() -> None:
    """A child on a terminal of its own: the name of a step neither clears the screen nor is read as markup."""
    code = (
        "from builders import progress, terminal\n"
        "with terminal.plain_streams(), progress.bar('reading', 2) as step:\n"
        r"    step('evil\x1b[2J\u202e[red]x[/red] [/nor]')"
    )
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "300", "PYTHONIOENCODING": "utf-8"}
    environment.pop("NO_COLOR", None)
    child = subprocess.Popen([sys.executable, "-c", code], stderr=follower, env=environment)
    os.close(follower)
    written = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the child is gone
            break
        if not part:
            break
        written += part
    os.close(leader)
    assert child.wait(60) == 0
    assert rb"reading evil\x1b[2J\u202e[red]x[/red] [/nor]" in written
    assert b"\x1b[2J" not in written


class HostileApi:
    """An account that answers every question with an error whose words are meant badly."""

    def account(self) -> str:
        raise RolloutError(f"AWS refused: {HOSTILE}")

    def __getattr__(self, name: str) -> Callable[..., HostileApi]:
        return lambda *_, **__: self


COMMANDS: dict[str, list[str]] = {name: [] for name in rollout_stacksets.COMMANDS} | {
    "apply": ["--no-check"],  # which takes seconds, and has a test of its own below
    "remove": ["--yes"],
    "adopt": ["--yes"],
    "rollback": ["--yes"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_rollout_shows_what_aws_says_as_one_line(name: str, said: Callable[[], str]) -> None:
    arguments = [name, "--phase", "dev", *COMMANDS[name]]
    code = rollout_stacksets.main(arguments, open_api=lambda *_: HostileApi())  # type: ignore[arg-type]
    assert code == 1
    assert f"rollout-stacksets: AWS refused: {SHOWN}" in said()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_rollout_shows_names_of_the_command_line_as_they_are(
    name: str, said: Callable[[], str], tmp_path: Path
) -> None:
    nowhere = tmp_path / HOSTILE.translate({0: None, ord("/"): None, 0xD800: 0xDC80})
    assert rollout_stacksets.main(["--file", str(nowhere), name, "--phase", "dev", *COMMANDS[name]]) == 2
    assert r"\x1b[2J" in said()


@pytest.mark.parametrize("name", ["environments", "names", "templates"])
def test_build_templates_shows_names_and_values_of_files_as_they_are(
    name: str, said: Callable[[], str], tmp_path: Path
) -> None:
    folder = tmp_path / "environments\x1b[2J\u202e"
    folder.mkdir()
    values = [f"{HOSTILE}=1", f"VpcCidr={HOSTILE}"] if name == "environments" else ["VpcCidr=10.0.0.0/16"]
    (folder / ("dev.json" if name == "environments" else "a\nb: \x1b[31m.json")).write_text(json.dumps(values))
    arguments = ["--check", "--no-lint", "--environments-dir", str(folder), "artifacts"]
    if name == "templates":
        arguments = ["--no-lint", HOSTILE]
    assert build.main(arguments) in (1, 2)
    assert r"\x1b[" in said()


@pytest.mark.parametrize("name", sorted(migrate_database.command.commands))
def test_every_command_of_the_migration_shows_what_it_read_as_one_line(
    name: str, said: Callable[[], str], tmp_path: Path
) -> None:
    folder = tmp_path / "out\x1b[2J\n[ok] forged"
    folder.mkdir()
    (folder / "flat-outputs.json").write_text('{"dmsReplicationTaskArn": "\x1b[2J')
    code = migrate_database.main([name, "--phase", "dev\n[ok] forged\x1b[2J", "--outputs-dir", str(folder)])
    assert code in (1, 2)
    said()


def hostile_task() -> tuple[Task, list[TableStatistics]]:
    task = task_of(
        {
            "ReplicationTaskArn": f"arn:{HOSTILE}",
            "ReplicationInstanceArn": "arn:instance",
            "SourceEndpointArn": "arn:source",
            "TargetEndpointArn": "arn:target",
            "Status": "failed",
            "StopReason": HOSTILE,
            "LastFailureMessage": HOSTILE,
        }
    )
    return task, []


def test_what_dms_says_of_a_task_is_shown_as_it_is(said: Callable[[], str]) -> None:
    with terminal.plain_streams():
        task_showing.result(*hostile_task(), as_json=False)
    assert r"arn:evil\x1b[2J" in said()


def test_what_dms_says_of_a_task_is_lossless_in_json(said: Callable[[], str]) -> None:
    with terminal.plain_streams():
        task_showing.result(*hostile_task(), as_json=True)
    written = said()
    assert written.isascii()
    assert f"arn:{HOSTILE}" in json.loads(written).values()


def hostile_report() -> VerifyReport:
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    difference = Difference(f"s.{HOSTILE}", "differs", (HOSTILE,), (HOSTILE,))
    table = TableResult(f"s.{HOSTILE}", Digest(1, 1), Digest(2, 2), differing=(difference,), in_motion=1)
    return VerifyReport(moment, moment, "md5", False, True, (), (table,), not_carried=(HOSTILE,))


def test_names_and_keys_of_a_database_are_shown_as_they_are(said: Callable[[], str]) -> None:
    with terminal.plain_streams():
        verify_showing.result(hostile_report(), as_json=False, hide_keys=False)
    assert r"evil\x1b[2J" in said()


def test_names_and_keys_of_a_database_are_lossless_in_json(said: Callable[[], str]) -> None:
    with terminal.plain_streams():
        verify_showing.result(hostile_report(), as_json=True, hide_keys=False)
    written = said()
    assert written.isascii()
    assert HOSTILE in json.loads(written)["notCarried"]


class Screen(io.StringIO):
    """A terminal of 60 columns, which can write `encoding`."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    return Screen()


def hostile_findings() -> check_report.CheckReport:
    found = (
        HazardFinding("no-key", Severity.BLOCKS, f"s.{HOSTILE}", f"{HOSTILE} é", f"fix {HOSTILE}"),
        HazardFinding("no-key", Severity.LOSES, f"s.{HOSTILE}", "goes", HOSTILE, is_accepted=True),
    )
    estimate = Estimate(1, 1, 1, 1, 1.0, is_counted=True, keep=None, line_mbit=1.0)
    return check_report.CheckReport(found, estimate, (HOSTILE,))


RESULTS: dict[str, Callable[[], None]] = {
    "check": lambda: check_showing.result("dev", hostile_findings(), as_json=False),
    "verify": lambda: verify_showing.result(hostile_report(), as_json=False, hide_keys=False),
    "status": lambda: task_showing.result(*hostile_task(), as_json=False),
}


COPIED = {"check": ("fix ", "1 finding to fix"), "status": ("task ",)}
"""The beginnings of lines that somebody copies."""


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_fits_the_terminal_but_for_what_is_copied_and_names_are_text(name: str, screen: Screen) -> None:
    with contextlib.redirect_stdout(screen), terminal.plain_streams():
        RESULTS[name]()
    assert "\x1b[31m" in screen.getvalue()  # rich's own colour
    shown = re.sub("\x1b\\[[0-9;]*m", "", screen.getvalue())
    assert is_plain(shown)
    copied = [line for line in shown.splitlines() if line.lstrip().startswith(COPIED.get(name, "-"))]
    assert len(copied) == len(COPIED.get(name, ()))
    assert max(map(cell_len, set(shown.splitlines()) - set(copied))) <= 60
    assert [line for line in shown.splitlines() if line.startswith("[ok] forged")] == []
    assert r"evil\x1b[2J\x1b]0;title\x07" in shown
    assert "[red]x[/red]" in shown


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_has_no_colours_where_they_are_refused(
    name: str, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with contextlib.redirect_stdout(screen), terminal.plain_streams():
        RESULTS[name]()
    assert "\x1b[31m" not in screen.getvalue()


def test_a_terminal_that_lacks_a_character_gets_its_escape(screen: Screen) -> None:
    screen.encoding = "ascii"
    with contextlib.redirect_stdout(screen), terminal.plain_streams():
        RESULTS["check"]()
    assert screen.getvalue().isascii()
    assert r"\xe9" in screen.getvalue()


def test_a_line_in_a_pipe_stays_a_line(said: Callable[[], str]) -> None:
    report = dataclasses.replace(hostile_findings(), remarks=("word " * 5_000,))
    with terminal.plain_streams():
        check_showing.result("dev", report, as_json=False)
    assert ("word " * 5_000).strip() in said().splitlines()


def test_a_step_of_the_rehearsal_shows_what_came_as_it_is(said: Callable[[], str]) -> None:
    with terminal.plain_streams():
        steps = Expectations()
        steps.say(HOSTILE)
        with steps.step("title", "expected") as step:
            step.result = HOSTILE
    assert said().count(SHOWN) == 2


def test_progress_is_one_line(said: Callable[[], str]) -> None:
    progress.say(HOSTILE)
    assert said() == f"{SHOWN}\n"


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_findings_are_lossless_for_programs(form: str) -> None:
    written = findings.WRITERS[form]([Finding("layer", HOSTILE, "file.json", 1)])
    assert written.isascii()
    assert HOSTILE in written.encode().decode() or json.dumps(HOSTILE)[1:-1] in written
