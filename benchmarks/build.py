"""Times `build-templates` against what it cannot be quicker than, and against the `cfn-lint` command.

    python benchmarks/build.py [--rounds 7]

Run it from the project's root. Every round runs each command once, one after the other, so that a busy machine slows
all of them; the table shows medians, and ratios of medians of the same run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

PLAIN_SCRIPT = """
import importlib, json, pkgutil, sys
import troposphere
from builders import layers
from builders.stack import Stack
for module in pkgutil.iter_modules(layers.__path__):
    if not module.name.startswith("_"):
        stack = Stack(module.name, "")
        importlib.import_module(f"builders.layers.{module.name}").build(stack)
        with open(f"{sys.argv[1]}/{module.name}.json", "w") as file:
            json.dump(stack.template.to_dict(), file, indent=1, sort_keys=True)
"""
BASELINES = ("python -c pass", "plain troposphere script", "cfn-lint on the same files")


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True, help="How often each command runs.")
def main(rounds: int) -> None:
    """Print a table of medians in seconds and of ratios."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(commands(Path(folder)), rounds)
    table = Table(
        "command",
        "median s",
        *[f"times {name}" for name in BASELINES],
        title=f"{rounds} rounds, {os.cpu_count()} processors",
    )
    for name, value in seconds.items():
        ratios = [f"{value / seconds[baseline]:.2f}" for baseline in BASELINES]
        table.add_row(name, f"{value:.3f}", *ratios)
    Console(width=120).print(table)


def commands(folder: Path) -> dict[str, list[str]]:
    """What is timed, by name. All build into `folder`; the first build, which is not timed, makes its files."""
    build = [sys.executable, "-m", "builders.build", "--templates-dir", str(folder)]
    run(build)
    files = [str(path) for path in sorted(folder.glob("*.json"))]
    return {
        BASELINES[0]: [sys.executable, "-c", "pass"],
        BASELINES[1]: [sys.executable, "-c", PLAIN_SCRIPT, str(folder)],
        "build-templates --no-lint": [*build, "--no-lint"],
        BASELINES[2]: [sys.executable, "-c", "from cfnlint.runner import main; main()", *files],
        "build-templates": build,
    }


def measure(timed: Mapping[str, Sequence[str]], rounds: int) -> dict[str, float]:
    """The median wall-clock seconds of each command."""
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, command in timed.items():
            start = time.perf_counter()
            run(command)
            seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def run(command: Sequence[str]) -> None:
    """Run a command; findings in the templates make no difference to what is timed."""
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Traceback" in finished.stderr:
        sys.exit(f"{' '.join(command)} fails:\n{finished.stderr}")


if __name__ == "__main__":
    main()
