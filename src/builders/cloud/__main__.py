"""The command `python -m builders.cloud`."""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import sys
from pathlib import Path

from builders import command_line, start
from builders.errors import CloudError

try:
    from builders.cloud import process
except KeyboardInterrupt:
    sys.exit(start.interrupted("builders.cloud"))


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C. Return 0, or 2 after one line on stderr when the server cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m builders.cloud",
        description="A local AWS on 127.0.0.1. The access key id (12 digits) names the account. The secret access key "
        f"is {process.ANY_SECRET}, or any other; with --auth it is what --credentials prints.",
    )
    parser.add_argument("--port", type=int, default=4566, help="TCP port, 0 for a free one (default: 4566)")
    parser.add_argument("--state-dir", type=Path, help="keep files here (default: a temporary directory)")
    parser.add_argument("--keep", action="store_true", help="take up what --state-dir holds, and keep it up to date")
    parser.add_argument("--auth", action="store_true", help="check signatures, and IAM (default: all may all)")
    parser.add_argument(
        "--credentials", metavar="ACCOUNT", help="print variables for an account of the server on --state-dir, and end"
    )
    parser.add_argument("--log-level", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    parser.add_argument("--stop-at-end-of-input", action="store_true", help="stop when stdin is closed")
    parser.add_argument("--version", action="version", version=f"stackferry {importlib.metadata.version('stackferry')}")

    def work() -> None:
        options = parser.parse_args(arguments)
        if (options.keep or options.credentials) and not options.state_dir:
            parser.error("--keep and --credentials need --state-dir")
        if options.credentials:
            _print_credentials(options.state_dir, options.credentials)
            return
        from builders.cloud.server import serve  # noqa: PLC0415  where the extra is missing, a line says so

        serve.serve(
            options.port, options.state_dir, options.log_level, options.stop_at_end_of_input, options.auth, options.keep
        )

    stopped = "the server has stopped"
    return command_line.run("builders.cloud", work, interrupted=stopped, wrong_use=(CloudError,))


def _print_credentials(state_directory: Path, account: str) -> None:
    """Print what a shell evaluates, as `aws configure export-credentials --format env` does."""
    if not re.fullmatch(r"\d{12}", account, re.ASCII):
        raise CloudError(f"{account!r} is not an account: give its 12 digits")
    if not state_directory.is_dir():
        raise CloudError(f"no server has used {state_directory}: name the --state-dir of one that runs")
    try:
        secret = process.secret_access_key(state_directory, account)
    except OSError as error:
        raise CloudError(f"the secret of this run cannot be read ({error})") from error
    print(f"export AWS_ACCESS_KEY_ID={account}\nexport AWS_SECRET_ACCESS_KEY={secret}")


if __name__ == "__main__":
    sys.exit(main())
