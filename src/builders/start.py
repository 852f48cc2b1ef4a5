"""The commands as they are installed: an interrupt while a command's modules are loaded is one line, too.

Nothing but the standard library is imported here, so that this is in force within milliseconds. SIGTERM, by which a CI
system or a service manager stops a command, is an interrupt as Ctrl-C is.
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


def _run(name: str, module: str) -> int:
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        gc.disable()  # modules stay: to look for circles among their objects takes time and finds nothing
        main = importlib.import_module(module).main
        gc.freeze()
        gc.enable()
    except KeyboardInterrupt:
        print(f"{name}: interrupted; nothing was changed", file=sys.stderr)
        return INTERRUPTED
    return int(main())
