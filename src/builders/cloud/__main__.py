"""The command `python -m builders.cloud`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from builders.cloud.server import serve
from builders.errors import CloudError


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C. Return 0, or 2 after one line on stderr when the server cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m builders.cloud",
        description="A local AWS on 127.0.0.1. The access key id (12 digits) names the account; any secret will do.",
    )
    parser.add_argument("--port", type=int, default=4566, help="TCP port, 0 for a free one (default: 4566)")
    parser.add_argument("--state-dir", type=Path, help="keep files here (default: a temporary directory)")
    parser.add_argument("--keep", action="store_true", help="take up what --state-dir holds, and keep it up to date")
    parser.add_argument("--auth", action="store_true", help="check every request against IAM (default: all may all)")
    parser.add_argument("--log-level", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    parser.add_argument("--stop-at-end-of-input", action="store_true", help="stop when stdin is closed")
    options = parser.parse_args(arguments)
    if options.keep and not options.state_dir:
        parser.error("--keep needs --state-dir")
    try:
        serve.serve(
            options.port, options.state_dir, options.log_level, options.stop_at_end_of_input, options.auth, options.keep
        )
    except CloudError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
