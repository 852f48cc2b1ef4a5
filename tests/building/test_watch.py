"""A save is answered by a run of what it changed, and nothing ends the watch but an interrupt."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.build import main

HANG_SECONDS = 300
PACKAGE = Path(__file__).parents[2] / "src" / "builders"
BESIDE = ("cloud", "migration", "rehearsal", "rollout", "__pycache__")


class Watch:
    """`build-templates --watch` in a project of its own, with a copy of the package whose files may be changed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.package = folder / "builders"
        self.project = folder / "project"
        shutil.copytree(PACKAGE, self.package, ignore=shutil.ignore_patterns(*BESIDE))
        (self.project / "environments").mkdir(parents=True)
        (self.project / ".cfnlintrc").write_text("regions: [us-east-1]\n", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "builders.build", "--watch", "--no-cache", *arguments],
            cwd=self.project,
            # The order of stdout and stderr is ours also where Python buffers stdout.
            env=os.environ | {"PYTHONPATH": str(folder), "HOME": str(folder), "PYTHONUNBUFFERED": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._guard = threading.Timer(HANG_SECONDS, self.process.kill)
        self._guard.start()

    def lines(self) -> list[str]:
        """The output until it waits for a change again."""
        return list(self._until_it_waits())

    def _until_it_waits(self) -> Iterator[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("watching "):
                return
            yield line.rstrip("\n")
        raise AssertionError("the watch has ended")

    def save(self, name: str, text: str) -> list[str]:
        """Save a file as editors do, beside it and then by a rename; what is written then."""
        file = self.package / name
        file.with_name(".saving").write_text(text, encoding="utf-8")
        os.replace(file.with_name(".saving"), file)
        return self.lines()

    def text(self, name: str) -> str:
        return (self.package / name).read_text(encoding="utf-8")

    def interrupt(self) -> tuple[int, str]:
        """Its exit code, and what it writes at its end."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGINT)
        rest = self.process.stdout.read()
        return self.process.wait(), rest

    def close(self) -> None:
        assert self.process.stdout is not None
        self._guard.cancel()
        if self.process.poll() is None:
            self.interrupt()
        self.process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def started(folder: Path, *arguments: str) -> Iterator[Watch]:
    watch = Watch(folder, *arguments)
    try:
        yield watch
    finally:
        watch.close()


@pytest.fixture
def linting(folder: Path) -> Iterator[Watch]:
    """A watch that lints one small layer."""
    yield from started(folder, "secrets")


@pytest.fixture
def building(folder: Path) -> Iterator[Watch]:
    """A watch that builds one small layer, and checks the parameter files."""
    yield from started(folder, "--no-lint", "--check", "secrets")


LAYER = "layers/secrets.py"
UNUSED = """

_build = build


def build(stack):
    from builders import parameters
    stack.parameter(parameters.boolean("IsUnused", "Nothing looks at it"))
    _build(stack)
"""


def test_a_saved_layer_is_built_and_linted_without_loading_anything_again(linting: Watch) -> None:
    assert linting.lines() == ["loading what every run needs", "1 template built, 1 written", "no findings"]
    changed = linting.save(LAYER, linting.text(LAYER) + UNUSED)
    assert changed[:2] == ["../builders/layers/secrets.py changed", "1 template built, 1 written"]
    assert "warning W2001" in changed[2]
    assert changed[-1] == "1 finding"
    again = linting.save(LAYER, linting.text(LAYER) + "\n")
    assert again[1] == "1 template built, 0 written"
    assert again[2:] == changed[2:]
    assert linting.interrupt() == (0, "")


def test_a_mistake_of_syntax_is_one_line_and_the_watch_goes_on(building: Watch) -> None:
    building.lines()
    source = building.text(LAYER)
    broken = building.save(LAYER, source + "\n(\n")
    assert [line for line in broken if "SyntaxError" in line and "error layer: secrets" in line]
    assert not [line for line in building.save(LAYER, source) if "error layer" in line]
    naming = building.text("naming.py")
    broken = building.save("naming.py", naming + "\n(\n")
    assert broken[:2] == ["../builders/naming.py changed", "loading what every run needs"]
    (line,) = broken[2:]
    assert line.startswith(f"build-templates: {building.package / 'naming.py'}:")
    assert "SyntaxError" in line
    mended = building.save("naming.py", naming)
    assert mended[:2] == ["../builders/naming.py changed", "loading what every run needs"]
    assert mended[-1].endswith(" finding")


def test_a_saved_parameter_file_is_checked(building: Watch) -> None:
    building.lines()
    found = building.save("../project/environments/dev.json", '["EnvironmentSuffix=dev", "Zzz=1"]')
    assert found[0] == "environments/dev.json changed"
    assert [line for line in found if "unknown-parameter" in line]


def test_nothing_that_was_started_outlives_an_interrupt(building: Watch) -> None:
    building.lines()
    children = Path(f"/proc/{building.process.pid}/task/{building.process.pid}/children").read_text(encoding="utf-8")
    assert children.split()
    building.interrupt()
    assert not [pid for pid in children.split() if Path(f"/proc/{pid}").exists()]


def test_a_watch_does_not_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--watch", "--package"]) == 2
    assert capsys.readouterr().err.startswith("build-templates: --watch neither packages nor uploads; ")
