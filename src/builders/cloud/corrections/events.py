"""What a rule of EventBridge hands to its targets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ministack.services import eventbridge

from builders.cloud.schemas import Json


def paths_into_lists() -> None:
    """ministack's input transformers find nothing at a path with an index, such as `$.resources[0]`."""
    before = eventbridge._apply_input_transformer

    def apply(transformer: Mapping[str, Json], rule: Json, view: Any) -> Json:
        paths = transformer.get("InputPathsMap", {})
        indexed = {name: path for name, path in paths.items() if "[" in path}
        # What such a path finds is put beside the event's own members, where a plain path finds it.
        plain = {**paths, **{name: f"$.indexed.{name}" for name in indexed}}
        found = {name: _at(view.event_with_detail(), path) for name, path in indexed.items()}
        return before({**transformer, "InputPathsMap": plain}, rule, _With(view, {"indexed": found}))

    eventbridge._apply_input_transformer = apply


class _With:
    """An event's view with more members."""

    def __init__(self, view: Any, more: Mapping[str, Json]) -> None:
        self._view, self._more = view, more

    def event_with_detail(self) -> dict[str, Json]:
        """Return the event, with the members."""
        return {**self._view.event_with_detail(), **self._more}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)


def _at(node: Json, path: str) -> Json:
    for name, number in re.findall(r"([\w-]+)|\[(\d+)\]", path.removeprefix("$")):
        try:
            node = node[name] if name else node[int(number)]
        except (KeyError, IndexError, TypeError):
            return ""
    return node
