"""What all tests share: one embedded cloud for those that talk to AWS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from builders.cloud.process import Cloud, running


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """One embedded cloud a test process; tests keep out of each other's way by accounts."""
    with running() as cloud:
        yield cloud


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests say that they covered; what they print themselves is lost in the processes of xdist."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "covered":
                terminalreporter.write_line(str(value))
