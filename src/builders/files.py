"""Writes files as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Write a file, and the folders above it, so that a reader sees the old content or the new one, never a part.

    A killed process leaves at most a hidden file beside it. Raises `OSError` when the folder cannot be written or
    the disk is full; the old content is kept then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        os.chmod(partial, 0o644)  # mkstemp makes files that only their owner reads
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
