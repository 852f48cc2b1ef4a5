"""Plain stacks by change set, in accounts that StackSets does not carry."""

from __future__ import annotations

from builders.errors import RolloutError
from builders.rollout.client import change_sets, stacks
from builders.rollout.client.calls import Calls
from builders.rollout.client.change_sets import Wanted
from builders.rollout.client.sessions import Role, Where
from builders.rollout.client.stacks import Progress
from builders.rollout.model import Deployed, Values

EMPTY = ("ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS")
"""What failed attempts leave: stacks without resources. The first must be deleted, the second takes a change set."""


class Plain:
    """Stacks of the tooling, network and target accounts, through the deploy role; in our own account without it."""

    def __init__(self, calls: Calls, deploy_role: str) -> None:
        self._calls = calls
        self._deploy_role = deploy_role

    def read(self, account: str, region: str, name: str) -> Deployed | None:
        """A stack as it is; None when it is not there, or is an empty one that a failed attempt left."""
        found = stacks.deployed(self._calls, self._where(account, region), name)
        return None if found is None or found.status in EMPTY else found

    def deploy(
        self,
        account: str,
        region: str,
        name: str,
        template: str,
        values: Values,
        tags: Values,
        progress: Progress | None = None,
    ) -> Deployed:
        """Create or update a stack and wait for it; nothing happens where nothing changes.

        Raises `RolloutError` with the reasons of its failed events.
        """
        where = self._where(account, region)
        kind = self._made_ready(where, name, progress)
        wanted = Wanted(name, template, values, kind, tags)
        try:
            with change_sets.made(self._calls, where, wanted) as change_set:
                if change_set:
                    change_sets.execute(self._calls, where, name, change_set)
                    self._wait(where, name, progress)
        finally:
            if kind == "CREATE":
                self._sweep(where, name)
        found = stacks.deployed(self._calls, where, name)
        if found is None:
            raise RolloutError(f"stack {name} in {where} was deleted by somebody else while it was deployed")
        return found

    def delete(self, account: str, region: str, name: str, progress: Progress | None = None) -> None:
        """Delete a stack and wait until it is gone; nothing happens when it is not there."""
        self._delete(self._where(account, region), name, progress)

    def _delete(self, where: Where, name: str, progress: Progress | None) -> None:
        found = stacks.describe(self._calls, where, name)
        if found is None:
            return
        self._calls.ask(where, "cloudformation", "DeleteStack", StackName=found["StackId"])
        status = stacks.settled(self._calls, where, found["StackId"], progress)
        if status != "DELETE_COMPLETE":
            raise self._failed(where, found["StackId"], name, status)

    def _made_ready(self, where: Where, name: str, progress: Progress | None) -> str:
        """Wait for what is under way, take away what a failed creation left; return the kind of change set to make."""
        found = stacks.describe(self._calls, where, name)
        if found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS":
            return "CREATE"
        status = stacks.settled(self._calls, where, found["StackId"], progress)
        if status == "ROLLBACK_COMPLETE":
            self._delete(where, name, progress)
            return "CREATE"
        if status.endswith("_FAILED"):
            remedy = "continue its rollback" if status == "UPDATE_ROLLBACK_FAILED" else "delete it"
            raise RolloutError(f"stack {name} in {where} is {status}; {remedy} in the CloudFormation console first")
        return "CREATE" if status == "DELETE_COMPLETE" else "UPDATE"

    def _wait(self, where: Where, name: str, progress: Progress | None) -> None:
        status = stacks.settled(self._calls, where, name, progress)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise self._failed(where, name, name, status)

    def _sweep(self, where: Where, name: str) -> None:
        """Take away the empty stack that a change set of type CREATE leaves when it is not executed."""
        found = stacks.describe(self._calls, where, name)
        if found and found["StackStatus"] == "REVIEW_IN_PROGRESS":
            self._delete(where, name, None)

    def _failed(self, where: Where, stack: str, name: str, status: str) -> RolloutError:
        reasons = stacks.failures(self._calls, where, stack)
        return RolloutError("; ".join([f"stack {name} in {where} is {status}", *reasons]))

    def _where(self, account: str, region: str) -> Where:
        own = account == self._calls.account()
        return Where(region, None if own else Role(account, self._deploy_role))
