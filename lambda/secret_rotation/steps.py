"""The four steps of a rotation (AWS Secrets Manager User Guide, "Lambda rotation functions").

Each step may be repeated, may run beside another, and may be cut off anywhere. What holds throughout:

- a value, once stored in a version, is never written again;
- the password changes only from one stored version to another, in a transaction that ends with a last look at the
  labels, so that there is always a labelled version that logs in;
- AWSCURRENT moves only onto a password that has just logged in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import function_log
from credentials import Credentials, generate_password, replace_password
from database import Database, Session
from replication_guard import ReplicationGuard
from rotation_errors import WAY_BACK, LockedOut, ValueMissing, WrongPassword
from secret_store import CURRENT, PENDING, PREVIOUS, SecretStore, Stages

log = function_log.logger("rotation")


@dataclass(frozen=True)
class Tools:
    """Clients and deadline of a step; made anew for each invocation, since all of it shares one deadline."""

    store: SecretStore
    database: Database
    guard: ReplicationGuard


def create_secret(tools: Tools, token: str) -> None:
    """Store a new password in the version under rotation, unless it has one."""
    stages = _stages(tools, token)
    if stages.is_current(token) or tools.store.value(token) is not None:
        log.info("version %s has its value already: kept", token)
        return
    tools.guard.require_at_rest()
    current = _current_text(tools, stages)
    Credentials.parse(current)  # A secret that cannot log in is refused before anything is written.
    tools.store.put_pending(token, replace_password(current, generate_password()))


def set_secret(tools: Tools, token: str) -> None:
    """Make the database accept the pending password.

    AWSCURRENT is tried first: in a rotation without incident it is the one that works, and no failed login is in
    the server's log. AWSPENDING works when this step was cut off after its work was done, AWSPREVIOUS when AWSCURRENT
    was promoted beside us or the database went back one rotation.
    """
    stages = _stages(tools, token)
    if stages.is_current(token):
        log.info("version %s is current already: the password is not touched", token)
        return
    current = Credentials.parse(_current_text(tools, stages))
    pending = _pending(tools, token, current)

    def change(session: Session) -> None:
        tools.guard.require_at_rest()
        session.change_password(pending.password, lambda: tools.store.stages().require_still_pending(token))

    def leave(_: Session) -> None:
        log.info("the pending password logs in already")

    if _with_login(tools, current, change) or _with_login(tools, pending, leave):
        return
    previous = _previous(tools, stages, current)
    if previous and _with_login(tools, previous, change):
        log.warning("%s did not log in, %s did: the password is now that of %s", CURRENT, PREVIOUS, PENDING)
        return
    raise LockedOut(
        f"neither {CURRENT} nor {PENDING} nor {PREVIOUS} logs in: the password was changed "
        f"elsewhere, the database was restored, or VALID UNTIL has passed; nothing was changed; {WAY_BACK}"
    )


def test_secret(tools: Tools, token: str) -> None:
    """Log in with the pending password; with the current one where the pending version is empty.

    The latter is how Secrets Manager tries a function without rotating (RotateSecret, "RotateImmediately": false).
    """
    stages = _stages(tools, token)
    current = Credentials.parse(_current_text(tools, stages))
    text = tools.store.value(token)
    tested = current if text is None else _agreeing(text, current)
    with tools.database.login(tested):
        log.info("the password of version %s logs in", token if text else stages.version_at(CURRENT))


def finish_secret(tools: Tools, token: str) -> None:
    """Make the pending version current, after it has logged in once more.

    The login repeats testSecret's on purpose: promoting a password that does not work, twice, would lose the last one
    that does.
    """
    stages = _stages(tools, token)
    if not stages.is_current(token):
        current = Credentials.parse(_current_text(tools, stages))
        with tools.database.login(_pending(tools, token, current)):
            tools.store.promote(token, stages.version_at(CURRENT))
        log.info("version %s is now %s", token, CURRENT)
    if stages.carries(token, PENDING):
        tools.store.drop_pending(token)


def _stages(tools: Tools, token: str) -> Stages:
    stages = tools.store.stages()
    stages.require_under_rotation(token)
    return stages


def _current_text(tools: Tools, stages: Stages) -> str:
    version = stages.version_at(CURRENT)
    text = tools.store.value(version) if version else None
    if text is None:
        raise ValueMissing(f"the secret has no {CURRENT} value: store one that logs in")
    return text


def _pending(tools: Tools, token: str, current: Credentials) -> Credentials:
    text = tools.store.value(token)
    if text is None:
        raise ValueMissing(f"version {token} has no value: createSecret has to run first")
    return _agreeing(text, current)


def _previous(tools: Tools, stages: Stages, current: Credentials) -> Credentials | None:
    version = stages.version_at(PREVIOUS)
    text = tools.store.value(version) if version else None
    return None if text is None else current.with_password_of(text)


def _agreeing(text: str, current: Credentials) -> Credentials:
    credentials = Credentials.parse(text)
    credentials.require_same_login(current)
    return credentials


def _with_login(tools: Tools, credentials: Credentials, action: Callable[[Session], None]) -> bool:
    """Return whether these credentials log in; if so, carry out the action. Only a wrong password counts as "no"."""
    try:
        with tools.database.login(credentials) as session:
            action(session)
    except WrongPassword:
        return False
    return True
