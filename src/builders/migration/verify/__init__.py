"""Both sides compared by what they hold, with no trust in DMS.

state.py   how far each table is compared, and how the last comparison ended
"""

from builders.migration.verify.state import Verified, verified

__all__ = ["Verified", "verified"]
