"""Graphs of things that wait for each other."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping


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
