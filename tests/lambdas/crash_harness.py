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

from lambdas.rotation import harness
from lambdas.rotation.certificates import Authority
from lambdas.rotation.function import SOURCE, Function
from lambdas.rotation.postgres import Binaries, PostgresServer, available
from lambdas.rotation.rig import Rig
from lambdas.rotation.secrets_manager import SecretsManager
from lambdas.rotation.wire import Wire

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
        rig = _world(stack, binaries, source)
        for name, attempt in _attempts(rig):
            findings = attempt()
            tried, violations = tried + findings.tried, violations + len(findings.violations)
            helped = f", {findings.recovered} by way of recover" if findings.recovered else ""
            print(f"PostgreSQL {rig.server.major}: {name}: {findings.tried} points{helped}", flush=True)
            for violation in findings.violations:
                print(f"  violation: {violation}", flush=True)
    return tried, violations


def _attempts(rig: Rig) -> Iterator[tuple[str, Callable[[], harness.Findings]]]:
    for manner in MANNERS:
        yield f"every step killed, {manner}", partial(harness.crash_everywhere, rig, manner)
    for one, two in harness.pairs():
        yield f"{one} paused for {two}", partial(harness.interleave_everywhere, rig, one, two)
    yield "every step overtaken by another rotation", partial(harness.overtaken_everywhere, rig)


def _world(stack: ExitStack, binaries: Binaries, source: Path) -> Rig:
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
    return Rig(server, secrets_manager, function, wire, authority.file)


if __name__ == "__main__":
    sys.exit(main())
