"""`python -m builders.migration_task`."""

import sys

from builders.migration_task.command import main

if __name__ == "__main__":
    sys.exit(main())
