"""Plain stacks by change set, in accounts that StackSets does not carry."""

from __future__ import annotations

from collections.abc import Callable

from builders.rollout.model import Deployed, Values

Progress = Callable[[str], None]
"""Is told the stack's status while it is waited for, once for each that is new."""


class Plain:
    """Stacks of the tooling, network and target accounts, through the deploy role; in our own account without it."""

    def read(self, account: str, region: str, name: str) -> Deployed | None:
        """A stack as it is; None when it is not there, or waits for its first change set."""
        raise NotImplementedError

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
        raise NotImplementedError

    def delete(self, account: str, region: str, name: str, progress: Progress | None = None) -> None:
        """Delete a stack and wait until it is gone; nothing happens when it is not there."""
        raise NotImplementedError
