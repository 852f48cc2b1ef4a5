"""Builds and lints again whenever a source is saved: `build-templates --watch`.

    watcher     looks at the files, and starts the next two; it imports nothing that may change
    server      a fresh Python that has loaded troposphere, cfn-lint and the rules, but no layer
    run         a fork of the server for each save, which imports the layers as they are now and ends

A change of layers, parameter files or functions costs a fork. A change of what the server has loaded, such as a rule,
costs a new server. So nothing is ever reloaded within a process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from builders import progress
from builders.building import cache
from builders.text import counted_noun

INTERVAL_SECONDS = 0.1
"""Between two looks at the files; a look takes some 3 ms of the processor."""
SETTLED_SECONDS = 0.05
"""Editors save in several steps, such as a new file and a rename: a run waits until nothing changes for so long."""
_SERVER = """
import sys
try:
    from builders.building import watch
    watch.serve(int(sys.argv[1]), sys.argv[2])
except Exception as error:
    said = f"{type(error).__name__}: {error}" if type(error).__module__ != "builders.errors" else str(error)
    where = getattr(error, "filename", None)
    where = f"{where}:{error.lineno}: " if where and getattr(error, "lineno", None) else ""
    print(f"build-templates: {where}{' '.join(said.split())}", file=sys.stderr)
    sys.exit(1)
"""

Files = dict[str, tuple[int, int, int]]


def watch(options: Mapping[str, Any], layers: Sequence[str], cache_folder: str) -> None:
    """Carry out the command with these options now and after each save, until an interrupt.

    `layers` are the folders with modules of layers. Findings of templates are kept in `cache_folder`.
    """
    watched = _Watched(options, layers)
    with _Server(options, cache_folder) as server:
        seen = watched.files()
        while True:
            server.run()
            progress.say(f"watching {watched}; Ctrl-C ends")
            changed = watched.changes(seen)
            if any(watched.is_loaded(path) for path in changed):
                server.stop()
            progress.say(f"{_named(changed)} changed")
            seen = watched.seen


class _Watched:
    """The files whose change asks for a run: modification time, size and inode of each."""

    def __init__(self, options: Mapping[str, Any], layers: Sequence[str]) -> None:
        self._package = package = Path(cache.PACKAGE)
        self._layers = [package / "layers", *(Path(folder) for folder in layers)]
        self._folders = [package, *self._layers]
        self._inputs = [*self._layers, package / "reachability"]
        if options["check"]:
            given = [Path(options[name]).absolute() for name in ("environments_dir", "lambda_dir", "templates_dir")]
            self._folders += given
            self._inputs += given
        homes = (Path.cwd(), Path("~").expanduser())
        self._configurations = [home / name for home in homes for name in cache.CONFIGURATIONS]
        self.seen: Files = {}

    def __str__(self) -> str:
        return counted_noun(len(self.seen), "file")

    def files(self) -> Files:
        """All files as they are now."""
        self.seen = {}
        for folder in self._folders:
            self.seen.update(_states(str(folder), cache.ABOVE if folder == self._package else ()))
        for path in self._configurations:
            with contextlib.suppress(OSError):
                self.seen[str(path)] = _state(os.stat(path))
        return self.seen

    def changes(self, before: Files) -> list[str]:
        """Wait until files are no more as they were and stay so for a moment; return those that differ."""
        while (now := self.files()) == before:
            time.sleep(INTERVAL_SECONDS)
        last: Files | None = None
        while now != last:
            time.sleep(SETTLED_SECONDS)
            last, now = now, self.files()
        return sorted({path for path, _ in now.items() ^ before.items()}) or self.changes(before)

    def is_loaded(self, path: str) -> bool:
        """Return whether the server has loaded a file: all but layers, and what the layers are held against."""
        return not any(Path(path).is_relative_to(folder) for folder in self._inputs)


def _states(folder: str, but: Collection[str] = ()) -> Iterator[tuple[str, tuple[int, int, int]]]:
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name in but or entry.name == "__pycache__" or entry.name.startswith("."):
                continue
            with contextlib.suppress(OSError):  # an editor has taken it away meanwhile
                if entry.is_dir():
                    yield from _states(entry.path)
                elif not entry.name.endswith(("~", ".pyc")):
                    yield entry.path, _state(entry.stat())


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _named(paths: Sequence[str]) -> str:
    """The first of some paths, as a person in the current directory would type it, and how many more there are."""
    first = os.path.relpath(paths[0])
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1} more"


class _Server:
    """The process from which runs are forked. It is started when it is needed, and again when it could not start."""

    def __init__(self, options: Mapping[str, Any], cache_folder: str) -> None:
        self._arguments = json.dumps([options, cache_folder])
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = -1

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self) -> None:
        """Have one run done, which writes its findings; a server that cannot start has said why."""
        for _ in range(2):  # a server that has died since the last run is replaced
            process = self._process or self._start()
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(b"\n")
                process.stdin.flush()
            if os.read(self._answers, 1):
                return
            cannot_start = process.wait() == 1
            self.stop()
            if cannot_start:
                return

    def stop(self) -> None:
        """End the server and the run that may be under way. What a run writes is whole, the old or the new."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        os.close(self._answers)
        self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        progress.say("loading what every run needs")
        self._answers, answers = os.pipe()
        # A session of its own: Ctrl-C reaches the watcher alone, which ends the server.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(answers), self._arguments],
            stdin=subprocess.PIPE,
            pass_fds=[answers],
            start_new_session=True,
        )
        os.close(answers)
        return self._process


def serve(answers: int, arguments: str) -> None:
    """Load what every run needs, then fork a run for each line on stdin, and write a byte to `answers` after it."""
    options, folder = json.loads(arguments)
    # Byte code is told apart by whole seconds: of two saves in one of them, the first would be run again.
    sys.dont_write_bytecode = True
    from builders import layers, terminal  # noqa: PLC0415
    from builders.building import run, templates  # noqa: PLC0415
    from builders.errors import StackferryError  # noqa: PLC0415

    options["form"] = templates.Format(options["form"])
    for name in ("templates_dir", "environments_dir", "lambda_dir", "layers_dir"):
        options[name] = Path(options[name])
    layers.include(options["layers_dir"])
    plain = {name: str(value) for name, value in options.items()} | {"check": options["check"]}
    if options["lint"]:
        from builders.building import lint  # noqa: PLC0415

        options["linter"] = lint.Linter(options["regions"])
    _import_libraries(list(layers.__path__))
    for _ in sys.stdin.buffer:
        child = os.fork()
        if not child:
            with terminal.plain_streams():
                try:
                    memory = cache.Memory(cache.Cache(folder), plain, list(layers.__path__))
                    found = run.build_templates(run.Request(memory=memory, **options))
                    progress.say(counted_noun(len(found), "finding") if found else "no findings")
                except StackferryError as error:
                    progress.say(f"build-templates: {error}")
                except Exception as error:
                    message = f"{type(error).__name__}: {' '.join(str(error).split())}"
                    progress.say(f"build-templates: a defect, please report it: {message}")
            os._exit(0)
        os.waitpid(child, 0)
        os.write(answers, b".")


def _import_libraries(folders: Sequence[str]) -> None:
    """Import the modules of troposphere and awacs that layers import: half of a build's time."""
    import ast  # noqa: PLC0415
    import importlib  # noqa: PLC0415

    for path in (path for folder in folders for path in Path(folder).rglob("*.py")):
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.ImportFrom) and node.module in ("awacs", "troposphere"):
                    for name in node.names:
                        with contextlib.suppress(ImportError):
                            importlib.import_module(f"{node.module}.{name.name}")
