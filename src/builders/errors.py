"""Every error that a user of Stackferry can meet.

    StackferryError
    ├── UsageError            the command line: an unknown layer, a directory that cannot be written
    ├── LayerError            a layer module that breaks the contract of `builders.stack`
    ├── ParameterFileError    an `environments/*.json` that cannot be read
    ├── EvaluationError       an intrinsic function that has no value with the given parameters
    ├── DeployError           the AWS CLI refused: a stack that failed, with the reasons of its events
    ├── RolloutFileError      rollout.yaml, with the line and the key
    ├── RolloutError          what a rollout cannot do or did not reach: a plan that went stale, a run that is under way
    ├── ReplicationError      the replication task failed, or DMS refused what was asked of it
    ├── MigrationError        a step of the migration: a database refused, a precondition is not met, rows differ
    └── CloudError            the embedded cloud: a port in use, a server that does not start

A message is one line in lower case: the value, what is allowed, what to do; only rollout.yaml and its files get a line
for each mistake. It is printed once, at the command line's edge.
"""

from __future__ import annotations

from builders.text import printable


class StackferryError(Exception):
    """The root: catching it catches everything that Stackferry raises on purpose. Each of `lines` is made one line."""

    def __init__(self, *lines: object) -> None:
        super().__init__("\n".join(map(printable, lines)))


class UsageError(StackferryError):
    """The command was called in a way that cannot work."""


class LayerError(StackferryError):
    """A layer breaks the contract: a name given twice, an import that nobody exports, a cycle."""


class ParameterFileError(StackferryError):
    """A parameter file is not a JSON list of "Key=Value" strings."""


class EvaluationError(StackferryError):
    """A value of a template cannot be computed from the parameters that were given."""


class DeployError(StackferryError):
    """A command of the AWS CLI failed, or the CLI is not there."""


class RolloutFileError(StackferryError):
    """rollout.yaml is not what its schema asks for; the message names the line and the key."""


class RolloutError(StackferryError):
    """A rollout cannot begin or did not reach its end: blocked, stale, under way elsewhere, or refused by AWS."""


class ReplicationError(StackferryError):
    """The replication task failed, is in a state that forbids what was asked, or DMS cannot be asked."""


class MigrationError(StackferryError):
    """A step of the migration did not reach its end; the message says on which side, and what to do."""


class CloudError(StackferryError):
    """The embedded cloud cannot start or does not answer."""
