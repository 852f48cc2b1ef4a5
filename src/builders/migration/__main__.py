"""`python -m builders.migration`."""

import sys

from builders.migration.cli import main

if __name__ == "__main__":
    sys.exit(main())
