"""Owners of objects whose rights the master user cannot change yet, though he made them.

From PostgreSQL 16 on, who makes a role may grant it to others (ADMIN) and has none of its rights himself: no INHERIT,
no SET (PostgreSQL manual, "CREATE ROLE"). So is an application's role after a restore. He may grant it to himself, and
does so for as long as the rights on its objects are changed. Before 16 he may for any role that is no superuser.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from postgres_connection import VerifiedConnection
from rights import Right

# The grant that the master made himself, if there is one, is set back to what it was: one grantor has one grant of a
# role to a member. Before 16 a member without INHERIT is left alone.
_OWNERS = """
WITH named(kind, object) AS (
    SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:objects AS text[]))
), owner(oid) AS (
    SELECT relowner FROM named JOIN pg_class ON pg_class.oid = object::regclass WHERE kind IN ('TABLE', 'SEQUENCE')
    UNION SELECT nspowner FROM named JOIN pg_namespace ON pg_namespace.oid = object::regnamespace WHERE kind = 'SCHEMA'
)
SELECT quote_ident(rolname), current_setting('server_version_num')::int >= 160000,
       to_jsonb(own) ->> 'set_option'
  FROM owner JOIN pg_roles ON pg_roles.oid = owner.oid
  LEFT JOIN pg_auth_members AS own ON roleid = owner.oid AND member = current_user::regrole
                                  AND grantor = current_user::regrole
 WHERE NOT rolsuper AND NOT pg_has_role(current_user, owner.oid, 'USAGE')
   AND CASE WHEN current_setting('server_version_num')::int >= 160000
            THEN pg_has_role(current_user, owner.oid, 'MEMBER WITH ADMIN OPTION')
            ELSE NOT pg_has_role(current_user, owner.oid, 'MEMBER')
                 AND (SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user) END
 ORDER BY 1
"""


class Membership(NamedTuple):
    """The statements by which the master user becomes a member of an owner, and ends it."""

    join: str
    leave: str


def missing_memberships(connection: VerifiedConnection, changing: Iterable[Right]) -> list[Membership]:
    """Return the memberships that the master user needs, and may give himself, to change rights."""
    objects = sorted({(right.kind, right.object) for right in changing if not right.to_come})
    found = connection.run(_OWNERS, kinds=[kind for kind, _ in objects], objects=[name for _, name in objects])
    return [_membership(owner, has_options, set_option) for owner, has_options, set_option in found]


def _membership(owner: str, has_options: bool, set_option: str | None) -> Membership:
    if not has_options:
        return Membership(f"GRANT {owner} TO CURRENT_USER", f"REVOKE {owner} FROM CURRENT_USER")
    join = f"GRANT {owner} TO CURRENT_USER WITH INHERIT TRUE"
    if set_option is None:
        return Membership(join, f"REVOKE {owner} FROM CURRENT_USER")
    return Membership(join, f"GRANT {owner} TO CURRENT_USER WITH INHERIT FALSE")
