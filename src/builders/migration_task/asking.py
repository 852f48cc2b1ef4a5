"""The question before all tables are loaded again."""

from __future__ import annotations

import sys

import click

from builders.errors import ReplicationError, UsageError
from builders.migration_task.client import Replication
from builders.migration_task.running import must_be_reloadable

_QUESTIONS = {
    "DO_NOTHING": "DMS empties no table of the target (TargetTablePreparation is DO_NOTHING), and rows that are there "
    "would be loaded twice or refused: TRUNCATE the tables of the task in the target first. Are they empty?",
    "TRUNCATE_BEFORE_LOAD": "DMS empties the tables of the task in the target and loads them again. Reload?",
    "DROP_AND_CREATE": "DMS drops the tables of the task in the target, with their indexes, defaults and rights, and "
    "loads them again. Reload?",
}
"""{TargetTablePrepMode: the question} (DMS user guide, "Full-load task settings")."""


def confirm_reload(replication: Replication, *, yes: bool) -> None:
    """Ask a person whether all tables may be loaded again; `yes` is the answer that was given before.

    Raises `ReplicationError` where the task cannot be reloaded or the answer is no, and `UsageError` where nobody can
    answer.
    """
    must_be_reloadable(replication.task())
    if yes:
        return
    preparation = replication.table_preparation()
    question = _QUESTIONS.get(preparation, f"DMS prepares the target's tables by {preparation!r}. Reload?")
    if not sys.stdin.isatty():
        raise UsageError(f"reload asks first, and nobody can answer here: {question} --yes is the answer yes")
    if not click.confirm(question, err=True):
        raise ReplicationError("not reloaded; the task stays as it is")
