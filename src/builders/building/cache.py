"""Findings of earlier runs, in the user's cache directory, so that what has not changed is neither built nor linted.

An entry is found by a digest of everything that it was made from, so none is ever out of date; see `Memory`. Importing
this module loads neither troposphere nor cfn-lint: a run in which nothing changed needs neither.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from builders.project import data

try:  # hashlib would load OpenSSL, which takes as long as reading all sources
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

LARGEST_ENTRY_BYTES = 4 * 1024**2
MOST_BYTES = 64 * 1024**2
OLDEST_DAYS = 30
PACKAGE = os.path.dirname(os.path.dirname(__file__))
_FORMAT = "1"
ABOVE = frozenset({"cloud", "demo.py", "migration", "rehearsal", "rollout"})
"""The parts of this package that `build-templates` does not import: the import contracts in setup.cfg forbid it."""
_BESIDE_RULES = ("layers", "reachability")
"""The parts of the rest that the rules do not import: so a change of one layer leaves what is known of the others."""
CONFIGURATIONS = (".cfnlintrc", ".cfnlintrc.yaml", ".cfnlintrc.yml")
_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION", "STACKFERRY_RULE_PAGES", "PYTHONOPTIMIZE")
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Cache:
    """Texts by key, one file each. A file that is damaged, or that another user could have written, is not read.

    Whatever goes wrong with the folder, there is nothing to find in it and nothing is kept; nobody has to hear of it.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def get(self, key: str) -> str | None:
        """The text of a key, or None."""
        try:
            if not _is_own(os.lstat(self.folder), stat.S_ISDIR):
                return None
            # A link is not followed, and a pipe is not waited for.
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as stream:
                state = os.fstat(descriptor)
                if not _is_own(state, stat.S_ISREG) or state.st_size > LARGEST_ENTRY_BYTES:
                    return None
                sealed, _, content = stream.read().partition(b"\n")
            return content.decode("utf-8", "surrogateescape") if sealed == _seal(key, content) else None
        except (OSError, ValueError):
            return None

    def put(self, key: str, text: str) -> None:
        """Keep a text, as a whole or not at all."""
        content = text.encode("utf-8", "surrogateescape")  # a path may have any bytes
        if len(content) >= LARGEST_ENTRY_BYTES - 100:
            return
        partial = f"{self._path(key)}.{os.getpid()}"
        with contextlib.suppress(OSError):
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            if not _is_own(os.lstat(self.folder), stat.S_ISDIR):
                return
            try:
                descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                with open(descriptor, "wb") as stream:
                    stream.write(_seal(key, content) + b"\n" + content)
                os.replace(partial, self._path(key))
            except OSError:
                os.unlink(partial)

    def prune(self) -> None:
        """Remove what is older than 30 days, and the oldest of what is more than 64 MiB."""
        with contextlib.suppress(OSError):
            if not _is_own(os.lstat(self.folder), stat.S_ISDIR):
                return
            found = [(entry.stat(follow_symlinks=False), entry.path) for entry in os.scandir(self.folder)]
            left, too_old = MOST_BYTES, time.time() - OLDEST_DAYS * 24 * 60 * 60
            for state, path in sorted(found, key=lambda each: each[0].st_mtime, reverse=True):
                left -= state.st_size
                if left < 0 or state.st_mtime < too_old:
                    with contextlib.suppress(OSError):
                        os.unlink(path)

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, key)


def of_user() -> Cache:
    """The cache of the user who runs the command: $XDG_CACHE_HOME/stackferry, or ~/.cache/stackferry."""
    # "All paths set in these environment variables must be absolute" (XDG Base Directory Specification, "Basics").
    base = os.environ.get("XDG_CACHE_HOME", "")
    return Cache(os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.cache"), "stackferry"))


class Memory:
    """Findings of runs of `build-templates` with the same options.

    A whole run is found again by the options, the current directory, the sources of this package, the layers, the
    templates that stand, with --check parameter files and functions, and all that the lint depends on. The findings of
    one template are found again by its text and what the lint depends on: the sources of the rules and of what they
    import, .cfnlintrc here and in the home directory, regions, environment variables, installed packages, schemas that
    `cfn-lint --update-specs` has fetched, Python, and the date, since cfn-lint knows when runtimes end.
    """

    def __init__(self, cache: Cache, options: Mapping[str, Any], layers: Sequence[str], package: str = PACKAGE) -> None:
        """`options` are those of the command, `layers` the folders with modules of layers, `package` is this one."""
        self._cache = cache
        self._options = options
        self._layers = layers
        self._package = package
        self._lint = self._lint_inputs()
        self._inputs = self._all_inputs()
        self._new: dict[str, str] = {}
        self._usable = True

    def recall(self) -> tuple[str, str, bool] | None:
        """The stdout of the same run, its line on stderr, and whether it had findings; None for no such run."""
        found = self._cache.get(self._run_key())
        if not found:
            return None
        line, _, out = found[1:].partition("\n")
        return out, line, found[0] == "1"

    def remember(self, out: str, line: str, had_findings: bool) -> None:
        """Keep what a run wrote to stdout, and the line that it would write to stderr if it were repeated.

        Nothing is kept when an input has changed since the run began.
        """
        if self._usable and self._lint == self._lint_inputs():
            for key, findings in self._new.items():
                self._cache.put(key, findings)
            if self._inputs == self._all_inputs():
                self._cache.put(self._run_key(), f"{had_findings:d}{line}\n{out}")
        self._cache.prune()

    def findings(self, text: str) -> str | None:
        """The findings of a template with this text, as they were given to `keep`, or None."""
        return self._cache.get(self._lint_key(text))

    def keep(self, text: str, findings: str) -> None:
        """Keep the findings of a template, once the run is over."""
        self._new[self._lint_key(text)] = findings

    def forget(self) -> None:
        """Keep nothing of this run: it depends on files that the keys do not cover."""
        self._usable = False

    def _lint_key(self, text: str) -> str:
        return _digest("template", text, self._lint)

    def _run_key(self) -> str:
        folder = self._options["templates_dir"]
        # A folder of templates may hold much else; what is no template of ours is not looked at either.
        standing = _contents(folder, only=(".json", ".yaml"), deep=False)
        return _digest("run", self._inputs, *standing)

    def _all_inputs(self) -> str:
        read = [*(os.path.join(self._package, name) for name in _BESIDE_RULES)]
        read += [folder for folder in self._layers if os.path.realpath(folder) not in map(os.path.realpath, read)]
        if self._options["check"]:
            read += [self._options["environments_dir"], self._options["lambda_dir"], str(data.bundled("lambda"))]
        contents = (content for folder in read for content in _contents(folder))
        return _digest(repr(sorted(self._options.items())), os.getcwd(), self._lint, *contents)

    def _lint_inputs(self) -> str:
        sources = _contents(self._package, but=ABOVE.union(_BESIDE_RULES))
        return _digest(repr(self._options["regions"]), *sources, *_surroundings())


class SoundValues:
    """Values of targets in which nothing was found, so that a plan judges those alone that it has not seen.

    They are known by their digests, as long as nothing changes that they were judged by: `texts`, such as the
    templates, the sources of this package and the surroundings of a lint. No value itself is kept.
    """

    def __init__(self, cache: Cache, texts: Sequence[str], package: str = PACKAGE) -> None:
        self._cache = cache
        sources = _contents(package, but=ABOVE - {"rollout"})
        self._key = _digest("values", _digest(*texts), *sources, *_surroundings())
        self._known = frozenset((cache.get(self._key) or "").split())

    @staticmethod
    def digest(values: str) -> str:
        """The digest of values that are given as a text."""
        return _digest(values)

    def __contains__(self, digest: str) -> bool:
        """Return whether nothing was found in the values of a digest."""
        return digest in self._known

    def keep(self, sound: Collection[str]) -> None:
        """Keep the digests of values in which nothing was found, and forget all others."""
        if self._known != sound:
            self._cache.put(self._key, "\n".join(sorted(sound)))
            self._cache.prune()


def _surroundings() -> Iterator[str | bytes]:
    """Yield what a lint depends on beside sources and options: see `Memory`."""
    homes = (os.getcwd(), os.path.expanduser("~"))
    yield from (_FORMAT, sys.version, sys.executable, time.strftime("%Y-%m-%d"))
    yield from (os.environ.get(name, "") for name in _VARIABLES)
    yield from (_content(os.path.join(home, name)) for home in homes for name in CONFIGURATIONS)
    yield from _installed()
    yield from _fetched_schemas()


def _installed() -> Iterator[str]:
    """The folders in which Python looks for modules, and what is installed there: name, version and when."""
    for folder in sys.path:
        yield folder
        with contextlib.suppress(OSError):
            found = [entry for entry in os.scandir(folder) if entry.name.endswith((".dist-info", ".egg-info"))]
            for entry in sorted(found, key=lambda entry: entry.name):
                yield f"{entry.name} {entry.stat().st_mtime_ns}"


def _fetched_schemas() -> Iterator[str]:
    """The state of the schemas that `cfn-lint --update-specs` has put into its cache, which it takes before its own."""
    bases = (
        os.environ.get("XDG_CACHE_HOME", ""),
        os.path.expanduser("~/.cache"),
        os.path.expanduser("~/Library/Caches"),
    )
    for base in bases:
        for folder in ("schemas", "schemas/providers", "schemas/resources"):
            with contextlib.suppress(OSError):
                yield f"{base} {folder} {os.stat(os.path.join(base, 'aws', 'cfn-lint', folder)).st_mtime_ns}"


def _contents(
    folder: str,
    but: Collection[str] = (),
    only: tuple[str, ...] = ("",),
    deep: bool = True,
    above: frozenset[str] = frozenset(),
) -> Iterator[str | bytes]:
    """The names and bytes of the files in a folder, and in those below it, in the order of their names.

    `but` are names of its entries to leave out, `only` the endings of names to take, `above` the folders on the way.
    """
    itself = os.path.realpath(folder)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield f"{folder} {error.errno}"
        return
    for entry in entries:
        if entry.name in but or entry.name == "__pycache__" or not entry.name.endswith(only):
            continue
        yield entry.path
        if not entry.is_dir():
            yield _content(entry.path)
        elif deep and itself not in above:
            yield from _contents(entry.path, above=above | {itself})


def _content(path: str) -> bytes:
    """The bytes of a file, or why it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            size = os.fstat(descriptor).st_size
            content = os.read(descriptor, size + 1)
            while len(content) > size and (more := os.read(descriptor, 1024**2)):
                content += more
            return b"+" + content
        finally:
            os.close(descriptor)
    except OSError as error:
        return f"-{error.errno}".encode()


def _digest(*parts: str | bytes) -> str:
    """A digest of parts in their order, each with its length, so that no two lists of parts read the same."""
    digest = blake2b(digest_size=32)
    for part in parts:
        content = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(f"{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def _seal(key: str, content: bytes) -> bytes:
    return _digest(key, content).encode()


def _is_own(state: os.stat_result, kind: Any) -> bool:
    return bool(kind(state.st_mode)) and state.st_uid == os.geteuid() and not state.st_mode & _OTHERS_MAY_WRITE
