"""The whole crash harness, on every PostgreSQL there is: python tests/lambdas/crash_harness.py [--source FOLDER].

Kills every step at every unit it sends (before it leaves, after it took effect, and held in the network), interleaves
every step with every step, and lets every step be overtaken by another rotation. Prints how many points it tried, and
every violation; the exit code is 1 when there was one. --source tries another copy of lambda/secret_rotation, with the
folder `shared` beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rotation_world import harness
from rotation_world.certificates import Authority
from rotation_world.function import SOURCE, Function
from rotation_world.postgres import Binaries, PostgresServer, available
from rotation_world.secrets_manager import SecretsManager
from rotation_world.wire import Wire
from rotation_world.world import World

MANNERS = ("before", "after", "held")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=SOURCE, help="the function's folder, with shared beside it")
    source = parser.parse_args().source
    if not available():
        print("no PostgreSQL found: set PG_BIN to a server's bin folder, or install npm", file=sys.stderr)
        return 2
    totals = [_try(binaries, source) for binaries in available()]
    tried, violations = (sum(column) for column in zip(*totals, strict=True))
    print(f"in all: {tried} points, {violations} violations")
    return 1 if violations else 0


def _try(binaries: Binaries, source: Path) -> tuple[int, int]:
    tried = violations = 0
    with ExitStack() as stack:
        world = _world(stack, binaries, source)
        for name, attempt in _attempts(world):
            findings = attempt()
            tried, violations = tried + findings.tried, violations + len(findings.violations)
            helped = f", {findings.recovered} by way of recover" if findings.recovered else ""
            print(f"PostgreSQL {world.server.major}: {name}: {findings.tried} points{helped}", flush=True)
            for violation in findings.violations:
                print(f"  violation: {violation}", flush=True)
    return tried, violations


def _attempts(world: World) -> Iterator[tuple[str, Callable[[], harness.Findings]]]:
    for manner in MANNERS:
        yield f"every step killed, {manner}", partial(harness.crash_everywhere, world, manner)
    for one, two in harness.pairs():
        yield f"{one} paused for {two}", partial(harness.interleave_everywhere, world, one, two)
    yield "every step overtaken by another rotation", partial(harness.overtaken_everywhere, world)


def _world(stack: ExitStack, binaries: Binaries, source: Path) -> World:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    authority = Authority.make(directory, "trusted")
    server, secrets_manager = PostgresServer(binaries, authority), SecretsManager()
    stack.callback(server.stop)
    stack.callback(secrets_manager.stop)
    wire = Wire(server.port, secrets_manager.port)
    stack.callback(wire.close)
    settings = {"AWS_ENDPOINT_URL": wire.secrets_manager_url, "CA_BUNDLE": str(authority.file)}
    function = Function(settings, source)
    stack.callback(function.stop)
    return World(server, secrets_manager, function, wire, authority.file)


if __name__ == "__main__":
    sys.exit(main())
