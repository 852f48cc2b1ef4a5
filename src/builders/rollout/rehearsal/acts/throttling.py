"""AWS throttles while a command works."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from builders.rollout.rehearsal.troupe import Troupe

_STRIKES = {"DescribeStackSetOperation": 2, "ListStackInstances": 1, "UpdateStackSet": 2, "DescribeStacks": 1}
"""How often each operation is refused before it is let through: few, since every strike is waited out."""


@contextlib.contextmanager
def throttled(troupe: Troupe) -> Iterator[list[int]]:
    """Refuse some calls of the tooling account meanwhile. Yields a list that tells at the end how often that struck."""
    account = troupe.world.rollout.tooling.account
    cloud = troupe.world.cloud
    struck: list[int] = []
    faults: list[dict[str, str | float]] = [
        {"kind": "throttle", "service": "cloudformation", "operation": name, "account": account, "count": count}
        for name, count in _STRIKES.items()
    ]
    cloud.set_faults(*faults)
    try:
        yield struck
    finally:
        struck += [int(fault["struck"]) for fault in cloud.set_faults()]
