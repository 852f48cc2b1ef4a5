"""Writes docs/permissions.md; with --check it changes nothing and fails when the page is stale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from builders.rollout.permissions.page import text

PAGE = Path("docs/permissions.md")
CURRENT, STALE = 0, 1


def main() -> int:
    """Write the page, or say whether it is stale."""
    parser = argparse.ArgumentParser(prog="python -m builders.rollout.permissions", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 when the page is stale")
    check = parser.parse_args().check
    if not check:
        PAGE.write_text(text(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text():
        print(f"{PAGE} is stale; write it with `python -m builders.rollout.permissions`", file=sys.stderr)
        return STALE
    return CURRENT


if __name__ == "__main__":
    sys.exit(main())
