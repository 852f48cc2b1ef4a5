"""Scopes of layers, and the order in which they are deployed; importable without troposphere, which layers load."""

from __future__ import annotations

import enum
import graphlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Scope(enum.Enum):
    """Scope in which a layer's stacks live. A value is imported only from the same scope: elsewhere the account, the
    region or the suffix differs, and the value crosses as a parameter."""

    TOOLING = "tooling account, each region"
    TOOLING_PER_PHASE = "tooling account, one a phase"
    NETWORK = "network account, once"
    NETWORK_PER_PHASE = "network account, one a phase"
    MEMBER = "every account but the tooling account, from outside"
    ACCOUNT = "target account, one region"
    PHASE = "target account, one a phase"


class Target(NamedTuple):
    """The account and region in which a phase's layers stand."""

    account: str
    region: str

    def __str__(self) -> str:
        """Return the form that files and options use."""
        return f"{self.account}/{self.region}"


def in_order(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """The nodes of a graph, each after those that it waits for; free ones in alphabetical order.

    Raises `graphlib.CycleError` for a circle.
    """
    sorter = graphlib.TopologicalSorter(graph)
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order.extend(ready)
        sorter.done(*ready)
    return order
