"""The step that a person starts when no labelled version logs in any more; Secrets Manager never sends it.

Two things lead there: AWSPENDING taken away just after the password had been changed, and a database restored to
before the last two rotations. In both the password that works is in a version that lost its labels, and Secrets
Manager keeps those for a while.
"""

from __future__ import annotations

import function_log
from credentials import Credentials
from function_errors import FunctionError
from rotation_errors import WAY_BACK, LockedOut, ValueMissing, VersionNotStaged, WrongPassword
from secret_store import CURRENT, Version
from steps import Tools

log = function_log.logger("rotation")


def recover(tools: Tools) -> None:
    """Find a version that logs in, unlabelled ones included, and set the role's password to AWSCURRENT's.

    No label moves and no value is written, so that applications, which read AWSCURRENT, work again. Raises LockedOut
    when no version logs in.
    """
    versions = sorted(tools.store.versions(), key=lambda version: not version.labels)
    current = next((version for version in versions if CURRENT in version.labels), None)
    current_text = tools.store.value(current.identifier) if current else None
    if current is None or current_text is None:
        raise ValueMissing(f"the secret has no {CURRENT} value: there is nothing to go back to")
    wanted = Credentials.parse(current_text)
    for version in [current, *(other for other in versions if other != current)]:
        if _recovered_with(tools, version, current, wanted):
            return
    raise LockedOut(f"none of the {len(versions)} versions that are still kept logs in; {WAY_BACK}")


def _recovered_with(tools: Tools, version: Version, current: Version, wanted: Credentials) -> bool:
    def still_current() -> None:
        if not tools.store.stages().is_current(current.identifier):
            raise VersionNotStaged(f"version {current.identifier} lost {CURRENT} meanwhile: nothing was changed")

    credentials = _usable(tools, version, wanted)
    if credentials is None:
        return False
    try:
        with tools.database.login(credentials) as session:
            if version == current:
                log.warning("recover: %s logs in: nothing to recover", CURRENT)
                return True
            tools.guard.require_at_rest()
            session.change_password(wanted.password, still_current)
    except WrongPassword:
        log.warning("recover: version %s (%s) does not log in", version.identifier, version.created)
        return False
    log.warning("recover: version %s logged in; the password is now that of %s", version.identifier, CURRENT)
    return True


def _usable(tools: Tools, version: Version, wanted: Credentials) -> Credentials | None:
    """The login with the version's password; a version of another user or kind is passed over."""
    text = tools.store.value(version.identifier)
    if text is None:
        return None
    try:
        return wanted.with_password_of(text)
    except FunctionError as error:
        log.warning("recover: version %s is passed over (%s)", version.identifier, type(error).__name__)
        return None
