"""What `outputs` has written, and where it could not."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from builders.rollout.reading.outputs import OutputsView
from builders.rollout.showing.page import BAD, Page
from builders.rollout.showing.words import many

_SHOWN = 10


def text(view: OutputsView, width: int = 80) -> Text:
    """The files for a person: a line a place, where there are few."""
    page = Page(width)
    page.title(f"Outputs of phase {view.phase}: {many(len(view.written), 'place')}")
    for written in view.written[:_SHOWN]:
        page.line(f"{written.files[-1]}  {many(len(written.known), 'known output')}", indent=2)
    if len(view.written) > _SHOWN:
        page.line(f"... and {len(view.written) - _SHOWN:,} more", indent=2)
    page.line(f"index: {view.index}", indent=2)
    for place, reason in sorted(view.unread.items()):
        page.line(("not written", BAD), f"  {place}: {reason}")
    return page.text()


def data(view: OutputsView) -> dict[str, Any]:
    """The same for a machine."""
    return {
        "phase": view.phase,
        "release": view.release,
        "index": str(view.index),
        "places": [
            {"place": str(each.place), "files": [str(file) for file in each.files], "known": list(each.known)}
            for each in view.written
        ],
        "unread": {str(place): reason for place, reason in sorted(view.unread.items())},
    }
