"""What IAM must allow whoever runs a command, and the roles through which other accounts are reached.

    grants.py        the values: who calls what on which resource
    calls.py         the groups of calls that commands are made of
    examining.py     the same of doctor, and of remove --purge
    shared_stacks.py what CloudFormation does with the caller's rights in bootstrap
    table.py         which groups each command needs
    documents.py     the table as IAM policies
    page.py          docs/permissions.md

`python -m builders.rollout.permissions` writes the page, with --check it says when the page is stale.
"""

from builders.rollout.permissions.documents import actions, policy
from builders.rollout.permissions.grants import Grant, Scope, Who
from builders.rollout.permissions.table import COMMANDS

__all__ = ["COMMANDS", "Grant", "Scope", "Who", "actions", "policy"]
