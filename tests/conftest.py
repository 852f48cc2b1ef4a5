"""Shared by all tests: an embedded cloud, temporary files in memory, and samples of what the harnesses try."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aws_cli
import botocore_speed
import hypothesis
import pytest
import warm
import workers
from sampling import Points, every, spread
from warm_command import ADDRESS

from builders.cfnlint_libraries import import_cfnlint
from builders.cloud.process import Cloud

# Hundreds of processes import the same modules: each is compiled once, whatever the caller's own Python is told.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A worker holds thousands of tests; to search all of them for circles again and again takes a tenth of the time. What
# is imported and collected stays to the end.
gc.set_threshold(50_000)
gc.disable()

botocore_speed.apply()
import_cfnlint()  # before a test imports it in the plain way, which takes longer, and is not how our commands do it

EXAMPLES, WHOLE_EXAMPLES = 15, 100
"""The examples that Hypothesis tries of each property, here and in `make harness`."""
MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 2 * 1024**3
LONGEST_FIRST = (
    *("test_rehearsal.py", "test_demo.py", "test_installed.py", "test_rotation_harness.py", "test_faults.py"),
    *("test_permissions.py", "test_runbook.py", "test_demo_ended.py", "test_task_commands.py", "test_commands.py"),
    *("test_crashes.py", "test_phases.py", "test_by_hand.py", "test_cutover.py", "test_build.py"),
    *("test_dms_replication.py", "test_rotation_refusals.py", "test_verify.py", "test_database_users_rotation.py"),
    *("test_kill.py", "test_cutover_on_dms.py", "test_keeping.py", "test_execution_role.py", "test_scale.py"),
    *("test_schema_trouble.py", "test_command_line.py", "test_rotate.py", "test_adopt.py", "test_database_users.py"),
    *("test_building.py", "test_dms_disasters.py", "test_databases.py", "test_rotation_steps.py"),
    *("test_faults_accounts.py", "test_migration_begins.py", "test_kill_dms.py"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make harness` ask for all that `make test` takes a sample of, or for a part of it."""
    parser.addoption("--whole", action="store_true", help="only the tests that take a sample, with the whole instead")
    parser.addoption("--part", type=_part, default=(0, 1), help="K/N: every Nth of the tests, beginning with number K")


def _part(text: str) -> tuple[int, int]:
    """Read "K/N", such as 0/1 for all."""
    number, count = map(int, text.split("/"))
    if not 0 <= number < count:
        raise ValueError(text)
    return number, count


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Put temporary files into memory where there is room: each of many databases is a thousand small files.

    Before workers start, start the processes that fork clouds and the AWS CLI for all of them, and the one that imports
    the tests and forks the workers. How long a hypothesis takes says how busy the machine is, and nothing of what it
    is about.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore it
    hypothesis.settings.register_profile(
        "untimed",
        deadline=None,
        max_examples=WHOLE_EXAMPLES if config.getoption("--whole") else EXAMPLES,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("untimed")
    if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # ask again
    if config.getoption("numprocesses", None):
        os.environ[ADDRESS] = warm.address()
        os.environ[aws_cli.ADDRESS] = aws_cli.address()
        config.option.tx = [workers.specification(config.args)] * len(config.option.tx)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start more workers than there are processors: tests wait for servers and programs half of their time."""
    return min((os.cpu_count() or 2) * 5 // 2, 8)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the tests that take a sample, with --whole; without it leave out the cases that are in no sample.

    The longest files go first, so that no worker waits for another at the end. Of these, --part takes some.
    """

    def chosen(item: pytest.Item) -> bool:
        sampled = item.get_closest_marker("sampled")
        if config.getoption("--whole"):
            takes_less = "whole" in getattr(item, "fixturenames", ()) or "hypothesis" in item.keywords
            return sampled is not None or takes_less
        return sampled is None or sampled.kwargs["when"](item.callspec.params)  # type: ignore[attr-defined]

    def place(item: pytest.Item) -> int:
        name = item.path.name
        return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)

    number, count = config.getoption("--part")
    kept = sorted(filter(chosen, items), key=place)[number::count]
    config.hook.pytest_deselected(items=list(set(items) - set(kept)))
    items[:] = kept


def pytest_collection_finish() -> None:
    """Search for garbage from now on, and leave out what was collected: it stays to the end."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def whole(request: pytest.FixtureRequest) -> bool:
    """True where all is tried, and not a sample."""
    return bool(request.config.getoption("--whole"))


@pytest.fixture(scope="session")
def points(whole: bool) -> Points:
    """The points that a crash harness tries."""
    return every if whole else spread


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """One embedded cloud a test process; tests keep out of each other's way by accounts."""
    with warm.running() as cloud:
        yield cloud


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how many points the crash harnesses tried."""
    told = [value for report in terminalreporter.getreports("passed") for value in report.user_properties]
    tried = sum(int(str(value)) for name, value in told if name == "points")
    if tried:
        sample = "" if config.getoption("--whole") else "; `make harness` tries all"
        terminalreporter.write_line(f"crash harnesses: {tried} points tried{sample}")
