"""How a rollout grows from 1,000 to 10,000 instances of each of 12 layers: `python benchmarks/rollout.py`.

Each figure comes from a process of its own, on a simulation of AWS that answers at once, so that the time is ours and
not AWS's. Prints the calls to AWS for an instance, the seconds for an instance as a multiple of those at 1,000, and the
most memory that the process had, the simulation included. Fails where 1,000 instances of a layer need more than 300 MB,
or an instance costs more than three times as much among 10,000 as among 1,000.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

from rollout.large_phase import LargePhase

SIZES = (1000, 3000, 10_000)
ALLOWED_MEGABYTES = 300
ALLOWED_GROWTH = 3.0


def plan(phase: LargePhase) -> None:
    """Of a phase that is what it shall be."""
    assert phase.plan(phase.desired).nothing_to_do


def plan_an_update(phase: LargePhase) -> None:
    """Three layers change at every place."""
    assert not phase.plan(phase.spec(SourcePort="5433")).nothing_to_do


def status(phase: LargePhase) -> None:
    """As the command shows it."""
    assert phase.status().good


def update(phase: LargePhase) -> None:
    """Three layers, in two waves."""
    assert phase.apply(phase.spec(SourcePort="5433")).good


WORK: dict[str, Callable[[LargePhase], None]] = {
    "plan, nothing to do": plan,
    "plan of an update": plan_an_update,
    "status": status,
    "update": update,
}


def measure(instances: int, name: str) -> dict[str, Any]:
    """Do one piece of work in this process."""
    phase = LargePhase(instances, own_ranges=True)
    phase.stand()
    started = time.process_time()
    WORK[name](phase)
    seconds = time.process_time() - started
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "megabytes": kilobytes // 1024, "calls": phase.client.counts()}


def apart(instances: int, name: str) -> dict[str, Any]:
    """Do it in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(instances), name]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def grow() -> int:
    """Measure everything at every size."""
    bad = []
    for name in WORK:
        print(f"{name}, every place with a range of addresses of its own:")
        first = 0.0
        for instances in SIZES:
            found = apart(instances, name)
            each = found["seconds"] / instances
            first = first or each
            calls = Counter(found["calls"])
            print(
                f"  {instances:6,} x 12: {found['megabytes']:4} MB, {sum(calls.values()) / instances:6.2f} calls and "
                f"{each / first:5.2f} times the work for a place; "
                + ", ".join(f"{number} {call.partition(':')[2]}" for call, number in calls.most_common(6))
            )
            if instances == SIZES[0] and found["megabytes"] > ALLOWED_MEGABYTES:
                bad.append(f"{name}: {found['megabytes']} MB at {instances}")
            if each / first > ALLOWED_GROWTH:
                bad.append(f"{name}: a place costs {each / first:.1f} times as much at {instances}")
    print(*bad, sep="\n", end="\n" if bad else "")
    return 1 if bad else 0


def main() -> int:
    """Measure, and say by the exit code whether it grows as it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", nargs=2, metavar=("INSTANCES", "WORK"), help="one figure, as JSON")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(int(arguments.measure[0]), arguments.measure[1])))
        return 0
    return grow()


if __name__ == "__main__":
    sys.exit(main())
