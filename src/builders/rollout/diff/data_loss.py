"""What an update loses: data, generated passwords, a running replication."""

from __future__ import annotations

from collections.abc import Iterator

from builders import naming
from builders.rollout.diff.effects import Change, Effect, Hazard, HazardKind
from builders.rollout.diff.resources import Comparison

STATEFUL = {
    "AWS::RDS::DBInstance": "a new database is empty",
    "AWS::RDS::DBCluster": "a new cluster is empty",
    "AWS::DMS::ReplicationInstance": "its tasks go with it, and with them the place in the source's log",
    "AWS::DMS::ReplicationTask": "a new task loads everything again, and the old one's slot stays on the source",
    "AWS::KMS::Key": "what the old key encrypted, snapshots too, is unreadable without it",
    "AWS::SecretsManager::Secret": "a new secret has a new password; a deleted one has no recovery window",
}
"""The types whose loss is more than an outage, and what is lost. Their replacement or removal is acknowledged."""

_REPLICATING = ("AWS::DMS::Endpoint", "AWS::DMS::ReplicationInstance", "AWS::DMS::ReplicationTask")
_GENERATED = "GenerateSecretString"
# CloudFormation user guide, "DeletionPolicy attribute": the default of these, an instance of a cluster excepted.
_SNAPSHOT_BY_DEFAULT = ("AWS::RDS::DBCluster", "AWS::RDS::DBInstance")
_ON_THE_STACK_ONLY = frozenset({"CreationPolicy", "DeletionPolicy", "Metadata", "UpdatePolicy", "UpdateReplacePolicy"})


def stateful_hazards(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """Yield what is lost with data, and what would generate a new password."""
    for change in comparison.changes:
        if change.type in STATEFUL and change.effect in _LOSING:
            yield _lost(layer, change, _rest(change, comparison))
        elif change.type == "AWS::SecretsManager::Secret" and change.effect is Effect.MODIFY:
            yield from _generated(layer, change)


def task_hazards(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """Yield what cannot be changed while the replication task of the place runs.

    A running task must be stopped before it, its instance or its endpoints are modified (DMS user guide, "Modifying a
    task"; terraform-provider-aws#2236).
    """
    for change in comparison.changes:
        if (
            change.type in _REPLICATING
            and change.effect not in (Effect.ADD, Effect.RETAIN)
            and not _is_harmless(change)
        ):
            phase = dict(comparison.values).get(naming.MIGRATION_PHASE, "PHASE")
            yield Hazard(
                HazardKind.RUNNING_TASK,
                layer,
                change.logical_id,
                f"{_what(change)} while the replication task runs{_because(change)}: DMS refuses or breaks off",
                f"migration-task stop --phase {phase}, apply{_afterwards(change, phase)}",
                acknowledgeable=False,
            )


def _afterwards(change: Change, phase: str) -> str:
    """A task that was replaced, or whose instance or endpoints were, is another one: it has nothing to resume."""
    if change.effect is Effect.REMOVE:
        return ""
    action = "resume" if change.effect is Effect.MODIFY else "start"
    return f", then migration-task {action} --phase {phase}"


_WORDS = {
    Effect.REPLACE: "is replaced",
    Effect.MAY_REPLACE: "may be replaced",
    Effect.REMOVE: "is removed",
    Effect.RETAIN: "leaves the stack",
    Effect.MODIFY: "is modified",
}


_LOSING = frozenset(_WORDS) - {Effect.MODIFY}


def _what(change: Change) -> str:
    return f"{change.logical_id} ({change.type}) {_WORDS[change.effect]}"


def _because(change: Change) -> str:
    return f", by {', '.join(change.causes)}" if change.causes else ""


def _lost(layer: str, change: Change, rest: str) -> Hazard:
    if change.effect in (Effect.REMOVE, Effect.RETAIN):
        way = f"leave {change.logical_id} in the template, and its condition true"
    else:
        way = _undone(change)
    return Hazard(
        HazardKind.STATEFUL,
        layer,
        change.logical_id,
        f"{_what(change)}{_because(change)}: {STATEFUL[change.type]}; {rest}",
        f"{way}, or acknowledge {layer}/{change.logical_id}",
        acknowledgeable=True,
    )


def _undone(change: Change) -> str:
    """What not to do, by the causes: ` (X is replaced)` stands behind those that follow from another resource."""
    direct = [cause for cause in change.causes if " " not in cause]
    others = sorted({cause.partition("(")[2].split(" ")[0] for cause in change.causes if " " in cause})
    parts = [f"change {', '.join(direct)}"] if direct else []
    parts += [f"replace {', '.join(others)}"] if others else []
    return f"do not {' or '.join(parts)}"


def _rest(change: Change, comparison: Comparison) -> str:
    """What is left of the old one."""
    if change.retained:
        return "the old one stays, outside the stack"
    if change.type == "AWS::KMS::Key":
        return "it can be called back for 7 to 30 days"  # KMS developer guide, "Delete an AWS KMS key"
    body = comparison.before.resources[change.logical_id]
    attribute = "DeletionPolicy" if change.effect is Effect.REMOVE else "UpdateReplacePolicy"
    default = ""
    if attribute == "DeletionPolicy" and change.type in _SNAPSHOT_BY_DEFAULT:
        default = "" if body.get("Properties", {}).get("DBClusterIdentifier") else "Snapshot"
    return "a snapshot of it stays" if body.get(attribute, default) == "Snapshot" else "nothing of it stays"


def _generated(layer: str, change: Change) -> Iterator[Hazard]:
    causes = [cause for cause in change.causes if cause.split(" ")[0].split(".")[0] == _GENERATED]
    if causes:
        yield Hazard(
            HazardKind.GENERATED_SECRET,
            layer,
            change.logical_id,
            f"{change.logical_id} gets a new password, by {', '.join(causes)}, and loses what its attachment added",
            f"leave {_GENERATED} as it is, or acknowledge {layer}/{change.logical_id}",
            acknowledgeable=True,
        )


def _is_harmless(change: Change) -> bool:
    """Whether nothing reaches DMS, or tags alone do, which no task stands in the way of but its own."""
    tags = set() if change.type == "AWS::DMS::ReplicationTask" else {"Tags"}
    return change.effect is Effect.MODIFY and set(change.causes) <= _ON_THE_STACK_ONLY | tags
