"""A secret that may be rotated at this very moment: the passwords that may be in force, and when to look again.

Until setSecret the password in force is AWSCURRENT's; from then on it is AWSPENDING's, and finishSecret makes that one
current (docs/rotation.md). All of it may happen between our reading of the secret and our login, so that one refusal
proves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import function_log
from credentials import Credentials
from deadline import Deadline
from function_errors import IdentityChanged, SecretInvalid

log = function_log.logger("database_users")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 8.0
KEPT_SECONDS = 30.0
"""Not waited away: for the login that succeeds at last and the statements after it, which take seconds at most."""


@dataclass(frozen=True)
class RotatingSecret:
    """The versions of one secret, read anew each time, as logins to `database`."""

    read_current: Callable[[], str]
    read_pending: Callable[[], str | None]
    database: str
    port: int | None = None
    """The port of the logins; without one that of the secret."""

    def at(self, port: int) -> RotatingSecret:
        """Return the same secret for logins at another port."""
        return replace(self, port=port)

    def current(self) -> Credentials:
        """AWSCURRENT. Raises SecretInvalid, or what reading raises."""
        return self._parse(self.read_current())

    def pending(self, current: Credentials) -> Credentials | None:
        """AWSPENDING, where it has another password for the same login; None for any other.

        One that names another user or host is not tried: whoever may write a version of the secret could otherwise
        send our login to a server of his choice.
        """
        text = self.read_pending()
        if text is None:
            return None
        try:
            pending = self._parse(text)
            pending.require_same_login(current)
        except (SecretInvalid, IdentityChanged) as error:
            log.warning("AWSPENDING is not tried: %s", error)
            return None
        return None if pending.password == current.password else pending

    def candidates(self) -> Iterator[Credentials]:
        """AWSCURRENT, then AWSPENDING: without a rotation no failed login stands in the server's log."""
        current = self.current()
        yield current
        pending = self.pending(current)
        if pending is not None:
            yield pending

    def _parse(self, text: str) -> Credentials:
        parsed = Credentials.parse(text)
        return replace(parsed, dbname=self.database, port=self.port or parsed.port)


def rounds(deadline: Deadline) -> Iterator[None]:
    """One round at once, and further ones after pauses, for as long as the deadline leaves time for the work itself."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        deadline.remaining()
        yield
        if deadline.remaining() < pause + KEPT_SECONDS:
            return
        log.info("a password is not in force: a rotation may be under way; looking again in %.0f s", pause)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
