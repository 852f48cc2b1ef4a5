"""The files of the map from names to ports of this machine: who writes them knows nothing of ministack."""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDER = "names"
EVERYWHERE = "everywhere"


def write(file: Path, names: Mapping[str, Mapping[int, int]]) -> None:
    """Write {name: {port: port on this machine}}; a reader sees the whole file or none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".part", delete=False) as part:
        json.dump(names, part)
    Path(part.name).replace(file)


@contextlib.contextmanager
def named(state_directory: Path, host: str, ports: Mapping[int, int]) -> Iterator[None]:
    """Give a name to servers of this machine, in every account, while the context lasts."""
    file = state_directory / FOLDER / EVERYWHERE / f"{secrets.token_hex(8)}.json"
    write(file, {host.lower(): ports})
    try:
        yield
    finally:
        file.unlink()
