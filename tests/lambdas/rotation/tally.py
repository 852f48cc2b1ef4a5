"""What the harness counted, for the end of the test run."""

from __future__ import annotations

lines: list[str] = []


def report(line: str) -> None:
    lines.append(line)
