"""Both sides compared by what they hold, with no trust in DMS.

command.py    what `migrate-database verify` does with its options
showing.py    progress, result, and the question before a repair
running.py    the whole comparison: definitions, rows, what differed again
repair.py     rows that were named, written right
structure.py  definitions of both sides
comparing.py  one table, in ranges of its key or as it lies
again.py      rows that differed, looked at until they agree or are not late
state.py      how far each table is compared, and how the last comparison ended
"""

from builders.migration.verify.state import Verified, verified

__all__ = ["Verified", "verified"]
