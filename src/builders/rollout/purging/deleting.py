"""Deletes one resource that was left, by its type."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from builders.rollout.client import resources
from builders.rollout.client.calls import Calls
from builders.rollout.client.sessions import Where
from builders.rollout.purging.left import Left, Way, final_snapshot

SECRET_DAYS = 7
"""The shortest recovery window of a secret (Secrets Manager API reference, DeleteSecret): whoever purges wants it gone,
and whoever regrets it still has a week."""

KEY_DAYS = 30
"""The longest waiting period of a key (KMS API reference, ScheduleKeyDeletion): longer than a secret can be restored,
and whatever else was encrypted with it shows by then."""

Delete = Callable[[Calls, Where, Left], str]
"""Deletes, and returns what was done in words."""


def delete(calls: Calls, where: Where, left: Left) -> str:
    """Delete what was left and say what was done. Raises `Refused`; what is gone already is refused with `GONE`."""
    return _BY_WAY[left.way](calls, where, left)


def _secret(calls: Calls, where: Where, left: Left) -> str:
    resources.delete_secret(calls, where, left.physical_id, SECRET_DAYS)
    return f"deleted; `aws secretsmanager restore-secret` brings it back for {SECRET_DAYS} days"


def _key(calls: Calls, where: Where, left: Left) -> str:
    resources.schedule_key_deletion(calls, where, left.physical_id, KEY_DAYS)
    return f"deleted in {KEY_DAYS} days; `aws kms cancel-key-deletion` keeps it until then"


def _snapshot(calls: Calls, where: Where, left: Left) -> str:
    found = final_snapshot(left, resources.snapshots(calls, where, left.physical_id, left.identity))
    if not found:
        return "left no final snapshot"
    resources.delete_snapshot(calls, where, found)
    return f"snapshot {found} deleted"


def _log_group(calls: Calls, where: Where, left: Left) -> str:
    resources.delete_log_group(calls, where, left.physical_id)
    return "deleted with its logs"


def _role(calls: Calls, where: Where, left: Left) -> str:
    resources.delete_role(calls, where, left.physical_id)
    return "deleted"


_BY_WAY: Mapping[Way, Delete] = {
    Way.SECRET: _secret,
    Way.KEY: _key,
    Way.SNAPSHOT: _snapshot,
    Way.LOG_GROUP: _log_group,
    Way.ROLE: _role,
}
