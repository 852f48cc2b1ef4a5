"""The commands as they are installed: an interrupt while a command's modules are loaded is one line, too.

Nothing but the standard library is imported here, so that this is in force within milliseconds. SIGTERM, by which a CI
system or a service manager stops a command, is an interrupt as Ctrl-C is, and so is SIGHUP, when its terminal is closed
or its connection breaks: a cut-over that is under way is undone, and the source takes writes again.
"""

from __future__ import annotations

import gc
import importlib
import signal
import sys

INTERRUPTED = 130
"""The same as `command_line.INTERRUPTED`, which is not loaded yet."""


def build_templates() -> int:
    """Run `build-templates`."""
    return _run("build-templates", "builders.build")


def migrate_database() -> int:
    """Run `migrate-database`."""
    return _run("migrate-database", "builders.migration.cli")


def rollout_stacksets() -> int:
    """Run `rollout-stacksets`."""
    return _run("rollout-stacksets", "builders.rehearsal.cli")


def stackferry_init() -> int:
    """Run `stackferry-init`."""
    return _run("stackferry-init", "builders.init")


def write_outputs() -> int:
    """Run `write-outputs`."""
    return _run("write-outputs", "builders.write_outputs")


def take_signals() -> None:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does; a command under nohup goes on without its terminal."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _hang_up)


def _hang_up(_signal: int, _frame: object) -> None:
    # Kernel and shell send one each: the second must not break off what the first makes a command undo.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise KeyboardInterrupt


def interrupted(name: str) -> int:
    """Say that a command has not begun, and return its exit code."""
    print(f"{name}: interrupted; nothing was changed", file=sys.stderr)
    return INTERRUPTED


def _run(name: str, module: str) -> int:
    try:
        take_signals()
        gc.disable()  # modules stay: to look for circles among their objects takes time and finds nothing
        main = importlib.import_module(module).main
        gc.freeze()
        gc.enable()
    except KeyboardInterrupt:
        return interrupted(name)
    return int(main())
