"""Files that come with the package beside its modules: the functions' sources, pages, and what a project begins with.

A wheel has them in the package (setup.py), a checkout where they are written, at its root.
"""

from __future__ import annotations

from pathlib import Path

_IN_WHEEL = Path(__file__).with_name("data")
_CHECKOUT = Path(__file__).parents[3]


def bundled(name: str) -> Path:
    """The path of a file or folder that comes with the package, such as `lambda`."""
    return (_IN_WHEEL if _IN_WHEEL.is_dir() else _CHECKOUT) / name


def page(name: str) -> str:
    """The path of a page such as docs/bootstrap.md: as it is where that is here, else that of the package's own."""
    return name if Path(name).exists() or not bundled(name).exists() else str(bundled(name))
