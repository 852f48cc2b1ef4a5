"""A plan as a person and as a machine reads it.

text.py       the whole, top to bottom: what blocks, the waves, the notes, the calls, the sum
hazards.py    what stands in the way, and the way round
groups.py     what becomes of the instances of a layer in a wave; what was shown is referred to, not shown again
merging.py    groups that differ in nothing that is shown become one
resources.py  what happens inside, resource by resource
calls.py      the operations
data.py       JSON
wholeness.py  whether a saved file is a whole plan
saved.py      the file between `plan --out` and `apply`, and what moved since
"""

from builders.rollout.showing.plan.data import data
from builders.rollout.showing.plan.saved import Saved, load, moved, save
from builders.rollout.showing.plan.text import text

__all__ = ["Saved", "data", "load", "moved", "save", "text"]
