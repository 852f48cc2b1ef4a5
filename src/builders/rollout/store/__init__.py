"""What a rollout keeps in the artifacts bucket of its phase's first region, so that another machine can go on.

rollout/<suffix>/run.json              journal.py: the run that is under way or was the last, and the lock
rollout/<suffix>/runs/<run>/...        journal.py: its older operations
rollout/<suffix>/history.json          journal.py: the runs that ended
rollout/<suffix>/known.json            known.py: overrides of instances by their last operation
rollout/<suffix>/releases/<id>.json    releases.py: manifests
rollout/content/<sha256>               releases.py: the templates that manifests name
"""

from __future__ import annotations

from builders.rollout.store.journal import Journal
from builders.rollout.store.known import Known
from builders.rollout.store.releases import Release, Releases, release_id
from builders.rollout.store.runs import Command, Ended, Entry, Run, RunStatus, State
from builders.rollout.store.store import Store

__all__ = [
    "Command",
    "Ended",
    "Entry",
    "Journal",
    "Known",
    "Release",
    "Releases",
    "Run",
    "RunStatus",
    "State",
    "Store",
    "release_id",
]
