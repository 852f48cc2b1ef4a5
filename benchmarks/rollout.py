"""Growth of a rollout from 1,000 to 10,000 instances of each of 12 layers: `python benchmarks/rollout.py`.

Each figure comes from a process of its own, on a simulation of AWS that answers at once, so that the time is ours and
not AWS's. Prints the calls to AWS for an instance, the CPU seconds, those for an instance as a multiple of those at
1,000, and the most memory that the process had; the simulation is another process. Fails where 1,000 instances of a
layer need more than 300 MB, where a plan of them that has nothing to do needs more than 60 MB or 5 s, or where an
instance costs more than three times as much among 10,000 as among 1,000.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

from rollout.large_phase import TOOLING, LargePhase
from rollout.simulation import Simulation

from builders.aws.calls import Session
from builders.errors import RolloutError

SIZES = (1000, 10_000)
ALLOWED = {"megabytes": 300, "seconds": 30}
ALLOWED_WITH_NOTHING_TO_DO = {"megabytes": 60, "seconds": 5}
"""For the first size."""
ALLOWED_GROWTH = 3.0


def plan(phase: LargePhase) -> None:
    """Plan a phase that is as desired already."""
    assert phase.plan(phase.desired).nothing_to_do


def plan_an_update(phase: LargePhase) -> None:
    """Plan a change of three layers at every target."""
    assert not phase.plan(phase.spec(SourcePort="5433")).nothing_to_do


def status(phase: LargePhase) -> None:
    """Read what the command shows."""
    assert phase.status().good


def update(phase: LargePhase) -> None:
    """Update three layers, in two waves."""
    assert phase.apply(phase.spec(SourcePort="5433")).good


WORK: dict[str, Callable[[LargePhase], None]] = {
    "plan, nothing to do": plan,
    "plan of an update": plan_an_update,
    "status": status,
    "update": update,
}


class Elsewhere(Simulation):
    """A simulation in another process: what AWS holds is no memory of the rollout."""

    def __init__(self, instances: int) -> None:
        super().__init__(TOOLING)
        context = multiprocessing.get_context("spawn")
        self._answers, theirs = context.Pipe()
        context.Process(target=answer, args=(instances, theirs), daemon=True).start()
        self._answers.recv()  # once it is deployed

    def _make(self, where: Session, service: str, operation: str, request: Mapping[str, Any]) -> Any:
        with self._lock:
            self._answers.send((where.region, where.role, service, operation, request))
            found, assumed = self._answers.recv()
            self.counts["sts:AssumeRole"] += assumed
        if isinstance(found, RolloutError):
            raise found
        return found


def answer(instances: int, calls: Connection) -> None:
    """Make a phase of so many instances, and answer calls until the process that makes them ends."""
    phase = LargePhase(instances, own_ranges=True)
    phase.stand()
    calls.send("deployed")
    while True:
        try:
            region, role, *call = calls.recv()
        except EOFError:
            return
        before = phase.simulation.counts.copy()
        try:
            found: Any = phase.simulation._make(Session(phase.simulation, region, role), *call)
        except RolloutError as error:
            found = error
        calls.send((found, (phase.simulation.counts - before)["sts:AssumeRole"]))


def measure(instances: int, name: str) -> dict[str, Any]:
    """Do one piece of work in this process."""
    phase = LargePhase(instances, own_ranges=True)
    phase.simulation = Elsewhere(instances)
    phase.connect()
    started = time.process_time()
    WORK[name](phase)
    seconds = time.process_time() - started
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "megabytes": kilobytes // 1024, "calls": phase.client.calls.counts}


def apart(instances: int, name: str) -> dict[str, Any]:
    """Do it in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(instances), name]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def grow() -> int:
    """Measure everything at every size."""
    bad = []
    for name, work in WORK.items():
        print(f"{name}, every target with a range of addresses of its own:")
        first = 0.0
        for instances in SIZES:
            found = apart(instances, name)
            each = found["seconds"] / instances
            first = first or each
            calls = Counter(found["calls"])
            print(
                f"  {instances:6,} x 12: {found['megabytes']:4} MB, {found['seconds']:6.2f} s, "
                f"{sum(calls.values()) / instances:6.2f} calls and "
                f"{each / first:5.2f} times the work of a target; "
                + ", ".join(f"{number} {call.partition(':')[2]}" for call, number in calls.most_common(6))
            )
            if instances == SIZES[0]:
                allowed = ALLOWED_WITH_NOTHING_TO_DO if work is plan else ALLOWED
                bad += [f"{name}: {found[key]} {key}" for key, most in allowed.items() if found[key] > most]
            if each / first > ALLOWED_GROWTH:
                bad.append(f"{name}: a target costs {each / first:.1f} times as much at {instances}")
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
