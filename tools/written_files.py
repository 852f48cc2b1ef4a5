"""Files that a command writes, or with --check compares with what it would write."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from builders import files

CURRENT, STALE = 0, 1


def main(module: str, desired: Mapping[Path, str], existing: Collection[Path] = ()) -> int:
    """Write or check the desired files, as the arguments of `python -m MODULE` say, and return the exit code.

    `existing` are the files of a folder in which there should be no others.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a file is out of date")
    if parser.parse_args().check:
        problems = check(module, desired, existing)
        print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
        return STALE if problems else CURRENT
    for path, text in desired.items():
        files.replace(path, text.encode())
    return CURRENT


def check(module: str, desired: Mapping[Path, str], existing: Collection[Path] = ()) -> list[str]:
    """One sentence for each file that is out of date or should not be there."""
    stale = [f"{path} is stale: run python -m {module}" for path, text in desired.items() if _text(path) != text]
    return stale + [f"{path} is not needed: delete it" for path in sorted(set(existing) - set(desired))]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
