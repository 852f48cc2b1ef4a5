"""Time that the rules add to a cfn-lint run over `templates/`: `python benchmarks/rules.py`.

Lints every template with cfn-lint's own rules and with the pack appended, in one process and turn by turn, so that
both meet the same machine, and counts the processor's time, so that others on the machine matter little. Prints the
median of the ratios of the turns; fails when the pack adds 15 % or more.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cfnlint.config import ConfigMixIn
from cfnlint.runner import Runner

TEMPLATES = Path(__file__).parents[1] / "templates"
TURNS = 5
ALLOWED = 0.15


def seconds(files: list[str], rules: list[str]) -> float:
    """The processor time of one run, rules loaded and templates parsed anew."""
    start = time.process_time()
    arguments: dict[str, Any] = {"templates": files, "append_rules": rules}  # ManualArgs does not know the second
    runner = Runner(ConfigMixIn([], **arguments))
    list(runner.run())
    return time.process_time() - start


def main() -> int:
    """Measure, print one line, and say by the exit code whether the pack is cheap enough."""
    files = [str(file) for file in sorted(TEMPLATES.glob("*.json"))]
    os.chdir(tempfile.gettempdir())  # out of reach of .cfnlintrc, which appends the rules to both sides
    seconds(files, ["builders.rules"])  # schemas are read once a process: neither side pays for that
    turns = [(seconds(files, []), seconds(files, ["builders.rules"])) for _ in range(TURNS)]
    added = statistics.median(with_rules / alone - 1 for alone, with_rules in turns)
    alone, with_rules = (statistics.median(side) for side in zip(*turns, strict=True))
    times = f"cfn-lint {alone:.2f} s, with the rules {with_rules:.2f} s"
    print(f"{len(files)} templates: {times}, {added:+.1%} (allowed {ALLOWED:.0%})")
    return 0 if added < ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
