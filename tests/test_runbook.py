"""The runbook of a phase: every command of docs/migration.md, run as it stands, in its order."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import aws_cli
import warm
import warm_command
from leftovers import gone_in_time, marked

PAGE = Path("docs/migration.md")
# As after an installation, which has the command in the PATH, and without its start.
COMMAND = f'migrate-database() {{ "{sys.executable}" -S "{warm_command.__file__}" builders.migration "$@"; }}\n'


def test_the_commands_of_the_runbook_take_a_phase_there_and_back_and_to_its_end(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^migrate-database (\w+)", "".join(blocks), flags=re.MULTILINE)
    assert commands == [
        *("check", "schema", "schema", "start", "status", "verify", "cutover", "status", "fallback"),
        *("start", "verify", "cutover", "report", "finish"),
    ]
    script = tmp_path / "runbook.sh"
    script.write_text(f"set -e\n{COMMAND}cd '{tmp_path}'\n{''.join(blocks)}", encoding="utf-8")
    options = ["--no-check", "--outputs-dir", str(tmp_path), "--", "bash", str(script)]
    finished = warm.run(
        [sys.executable, "-m", "builders.demo", *options],
        env={**marked(tmp_path), **aws_cli.variables(), warm_command.ADDRESS: warm.address()},
        modules=os.environ.get("PYTHONPATH", ""),
    )
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    report = json.loads((tmp_path / "reports" / "migration-dev.json").read_text(encoding="utf-8"))
    assert [(run["name"], run["state"]) for run in report["runs"]] == [
        (name, "done")
        for name in ("schema-1", "start-1", "cutover-1", "fallback-1", "emptied-1", "start-2", "cutover-2", "finish-1")
    ]
    assert report["application_writes_to"] == "target"
    assert [each["finding"] for each in report["accepted"]] == ["numeric-unbounded:payments.payments.fee_rate"]
    assert gone_in_time(tmp_path)
