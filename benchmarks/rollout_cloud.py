"""A rollout of 12 layers with boto3 and real stacks: `python benchmarks/rollout_cloud.py [ACCOUNTS]`.

First applies the first phase of rollout.yaml with all its layers at one target, on a cloud that runs and is
bootstrapped, and prints the seconds, and the processors' seconds of the rollout, the server, its databases and its
functions. Fails where those are more than ten.

Then makes accounts (25) on the embedded cloud, rolls 12 layers of one queue each out to ten of their regions, plans
again, updates all of them in two waves and plans again. Prints for each the calls to AWS, the seconds as a part of
those that making the phase took, and at the end the most memory that the rollout had. Fails above 300 MB, when a second
plan finds something to do, or when it asks for more than the pages.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from builders.cloud.process import running as running_cloud
from builders.rehearsal.cloud import prepared_cloud
from builders.rehearsal.commands import RolloutRunner
from builders.rehearsal.rollout_file import Limits
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.executor import current_state
from builders.rollout.executor.context import Clock, Observer, RunServices
from builders.rollout.executor.executor import begin_run, run_to_desired
from builders.rollout.model import DesiredState, Permissions, Preferences, Target, Wave
from builders.rollout.plan.plan import make_plan
from builders.rollout.plan.schedule import make_schedule
from builders.rollout.state.journal import Command
from builders.rollout.state.store import Store

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1] / each) for each in ("tests", "lambda/shared")]

from rollout.conftest import SUFFIX, Administrator
from rollout.small_phase import QUICK, body, layer_set

LAYERS = [f"layer{number:02}" for number in range(12)]
ACCOUNTS = [str(200_000_000_000 + number) for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 25)]
REGIONS = (
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1"),
    *("eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-north-1"),
)
ALLOWED_MEGABYTES = 300
ROOT = Path(__file__).parents[1]
ALLOWED_SECONDS = 10.0
"""For a phase of all layers, of processors."""


def desired(version: str) -> DesiredState:
    """Three ranks of four layers, each of which waits for the rank before."""
    targets = [Target(account, region) for account in ACCOUNTS for region in REGIONS]
    everything = Preferences("100%", "0", parallel_regions=True)
    text = body("network", version=version).replace("network-Queue", "${AWS::StackName}-Queue")
    return DesiredState(
        phase="dev",
        suffix=SUFFIX,
        sets={layer: layer_set(layer, targets, text) for layer in LAYERS},
        plain={},
        needs={layer: frozenset(LAYERS[: number // 4 * 4]) for number, layer in enumerate(LAYERS)},
        waves=(Wave("canary", tuple(ACCOUNTS[:1])), Wave("rest", tuple(ACCOUNTS[1:]))),
        regions=REGIONS,
        preferences=everything,
        permissions=Permissions(),
        tags={"Environment": SUFFIX},
    )


def processor_seconds(pid: int) -> float:
    """Return what a process and all below it have used, with those that have ended (Linux)."""
    parents, ticks = dict[int, int](), dict[int, int]()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            fields = file.read_text().rpartition(")")[2].split()
            each = int(file.parent.name)
            parents[each], ticks[each] = int(fields[1]), sum(map(int, fields[11:15]))
    below = {pid}
    while more := {each for each, parent in parents.items() if parent in below} - below:
        below |= more
    return sum(ticks[each] for each in below) / os.sysconf("SC_CLK_TCK")


def apply_all_layers() -> bool:
    """Apply a phase with all its layers, and print what it cost; return whether it was cheap enough."""
    file = ROOT / "rollout.yaml"
    phase = next(iter(load_rollout_file(file).phases))
    with prepared_cloud(file, Limits((phase,), accounts=1, regions=1)) as prepared:
        command = RolloutRunner(prepared, ROOT / "templates")
        command.call("bootstrap", "--phase", phase, "--yes", "--json")
        used, started = processor_seconds(os.getpid()), time.monotonic()
        applied = command.call("apply", "--phase", phase, "--yes", "--poll", "0.1", "--no-check")
        seconds, used = time.monotonic() - started, processor_seconds(os.getpid()) - used
    stacks = applied.calls["cloudformation:CreateStackInstances"]
    load = os.getloadavg()[0]
    print(
        f"{phase} with all layers, {stacks} stacks: {seconds:.1f} s (load average {load:.1f}), "
        f"{used:.1f} s of processors",
        flush=True,
    )
    return applied.code == 0 and used <= ALLOWED_SECONDS


class Phase:
    """A phase on the embedded cloud, as its administrator sees it."""

    def __init__(self, administrator: Administrator) -> None:
        self.administrator = administrator
        self.bucket = administrator.bucket()
        self.seconds: dict[str, float] = {}

    def measured(self, name: str, work: Callable[[], bool]) -> bool:
        """Do work as a process of its own would, and print what it cost; return whether it went well."""
        self.client = self.administrator.client()
        self.store = Store(self.client.objects("us-east-1"), self.bucket, SUFFIX)
        started = time.monotonic()
        good = work()
        self.seconds[name] = time.monotonic() - started
        share = self.seconds[name] / next(iter(self.seconds.values()))
        counted = self.client.calls.counts.most_common()
        calls = ", ".join(f"{number} {call.partition(':')[2]}" for call, number in counted)
        print(f"{name}: {share:.2f} of the time of the first; {calls}", flush=True)
        return good

    def apply(self, version: str) -> bool:
        """Begin a run and carry it out to its end."""
        release = desired(version)
        services = RunServices(self.client, self.store, Clock(), QUICK, Observer())
        found = current_state.read_current_state(self.client, self.store.overrides(), release, LAYERS)
        run = begin_run(services, Command.APPLY, self.store.releases.save(release), ())
        return run_to_desired(services, run, release, LAYERS, make_schedule(release, found)).good

    def settled(self, version: str) -> bool:
        """Plan, and expect nothing to do; no instance is asked for by itself."""
        found = current_state.read_current_state(self.client, self.store.overrides(), desired(version), LAYERS)
        alone = self.client.calls.counts["cloudformation:DescribeStackInstance"]
        return make_plan(desired(version), found).nothing_to_do and not alone


def main() -> int:
    """Measure, and say by the exit code whether it is as it should be."""
    good = [apply_all_layers()]
    with running_cloud() as cloud:
        administrator = Administrator(cloud, "111111111111")
        with contextlib.redirect_stdout(io.StringIO()):
            for account in ACCOUNTS:
                administrator.fleet.enroll(account)
        phase = Phase(administrator)
        good += [
            phase.measured("made", lambda: phase.apply("1")),
            phase.measured("planned again", lambda: phase.settled("1")),
            phase.measured("updated", lambda: phase.apply("2")),
            phase.measured("planned again", lambda: phase.settled("2")),
        ]
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{len(LAYERS)} layers at {len(ACCOUNTS) * len(REGIONS):,} targets; at most {megabytes} MB")
    return 0 if all(good) and megabytes <= ALLOWED_MEGABYTES else 1


if __name__ == "__main__":
    sys.exit(main())
