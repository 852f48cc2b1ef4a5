"""Reads files that somebody named, and writes files as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

MOST_BYTES = 16 * 1024 * 1024
"""Largest file that is read: each account of the largest organization takes some hundred bytes in rollout.yaml."""


class UnfitFile(OSError):
    """A file that is there and is not read; its `strerror` says why, and what to do."""


def read_bytes(path: Path, *, within: Path | None = None) -> bytes:
    """The content of a regular file of at most 16 MiB; with `within`, of one in that folder, links followed.

    Raises `UnfitFile` for any other file, a FIFO or a device among them, which could hold a command up for ever, and
    `OSError` as `open` does.
    """
    try:
        if within is not None:
            _require_inside(path, within)
        _require_regular(path, os.stat(path).st_mode)  # first: to open a device can already move it
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (ValueError, RuntimeError) as error:  # a NUL, half a surrogate pair; links that lead to themselves
        raise UnfitFile(errno.EINVAL, "this is not the name of a file; name another", str(path)) from error
    with os.fdopen(descriptor, "rb") as stream:
        _require_regular(path, os.fstat(descriptor).st_mode)
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UnfitFile(errno.EFBIG, f"it is larger than {MOST_BYTES // 1024**2} MiB; name another file", str(path))
    return content


def read_text(path: Path, *, within: Path | None = None, encoding: str = "utf-8") -> str:
    """The text of a file as `read_bytes` reads it, with every line ended by a line feed.

    Raises `UnicodeDecodeError` where it is not of that encoding.
    """
    text = read_bytes(path, within=within).decode(encoding)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def unreadable(error: OSError, advice: str = "make it readable") -> str:
    """The end of the sentence about a file that could not be read; `advice` is for an error of the file system."""
    return f"cannot be read: {error.strerror}{'' if isinstance(error, UnfitFile) else f'; {advice}'}"


def _require_inside(path: Path, folder: Path) -> None:
    inside = folder.resolve()
    if not path.resolve().is_relative_to(inside):
        raise UnfitFile(errno.EACCES, f"it is outside of the folder {inside}; name a file in it", str(path))


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise UnfitFile(errno.EINVAL, "it is not a regular file; name another", str(path))


def replace(path: Path, content: bytes) -> None:
    """Write a file, and the folders above it, so that a reader sees the old content or the new one, never a part.

    A file that is there keeps its mode. A killed process leaves at most a hidden file beside it. Raises `OSError` when
    the folder cannot be written or the disk is full; the old content is kept then.
    """
    with _written_beside(path, content) as partial:
        os.replace(partial, path)


def create(path: Path, content: bytes) -> None:
    """Write a file that is not there as `replace` does. Raises `FileExistsError` where it is there by now."""
    with _written_beside(path, content) as partial:
        try:
            os.link(partial, path)
        except PermissionError:  # a file system without hard links (Linux manual, link(2))
            if os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
            os.replace(partial, path)
        else:
            os.unlink(partial)


@contextlib.contextmanager
def _written_beside(path: Path, content: bytes) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{path.name}.{os.urandom(8).hex()}"
    # Not by tempfile, which imports the compressors: a build waits for it longer than for a layer.
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        with os.fdopen(descriptor, "wb") as stream:
            with contextlib.suppress(FileNotFoundError):
                os.chmod(partial, stat.S_IMODE(os.stat(path).st_mode) & 0o777)
            stream.write(content)
        yield partial
    except BaseException as error:
        os.unlink(partial)
        if isinstance(error, OSError):  # a full disk names no file
            error.filename = str(path)
        raise
