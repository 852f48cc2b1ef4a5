"""Hazards of the servers: settings, free slots and senders, versions, transactions that wait, encoding and
collation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from builders.migration.check.hazards import USED_HERE, Hazard, HazardFinding, Severity, finding
from builders.migration.check.tables import ASSESSMENTS, SOURCE_LIMITS
from builders.migration.databases import Database

PREREQUISITES = 'DMS user guide, "Working with self-managed PostgreSQL databases as a source in AWS DMS"'

SOURCE_NEEDS: Mapping[int, str] = MappingProxyType({13: "3.4.3", 14: "3.4.7", 15: "3.5.1", 16: "3.5.3", 17: "3.6.1"})
TARGET_NEEDS: Mapping[int, str] = MappingProxyType({17: "3.5.4"})
"""{major version: the version of DMS from which on it is supported} (DMS user guide, "Sources for AWS DMS",
"Targets for
AWS DMS"). Earlier ones are supported by every version that is left; of later ones the guide said nothing."""
NEWEST = max(SOURCE_NEEDS)

LONG_MINUTES = 10
"""DMS looks for transactions that have been open for so long before it starts (premigration assessments)."""

_SLOTS = """
SELECT 'max_replication_slots' AS object, current_setting('max_replication_slots')::int AS most, u.used, n.needed,
  u.used + n.needed AS value
FROM (SELECT count(*) AS used FROM pg_replication_slots) AS u,
  (SELECT {needed} - count(*) AS needed FROM pg_replication_slots
   WHERE database = current_database() AND slot_name ~ '^({own})') AS n
WHERE current_setting('max_replication_slots')::int < u.used + n.needed
"""
_SENDERS = """
SELECT 'max_wal_senders' AS object, current_setting('max_wal_senders')::int AS most, u.used, {needed} AS needed,
  u.used + {needed} AS value
FROM (SELECT count(*) AS used FROM pg_stat_replication) AS u
WHERE current_setting('max_wal_senders')::int < u.used + {needed}
"""
_TIMEOUTS = "'idle_in_transaction_session_timeout', 'idle_session_timeout', 'statement_timeout', 'transaction_timeout'"
_SET = "ALTER SYSTEM SET {object} = {value}; -- and a restart"
_FREE = "{used} of {most} are in use, and the migration needs {needed} more"

SOURCE: Sequence[Hazard] = (
    Hazard(
        "standby", Severity.BLOCKS, "The source is a standby", "DMS cannot make a replication slot on a read replica",
        "name the primary server in the source's secret", SOURCE_LIMITS,
        "SELECT 'server' AS object WHERE pg_is_in_recovery()",
    ),
    Hazard(
        "wal-level", Severity.BLOCKS, "wal_level is not logical", "wal_level is {value}: no change can be read",
        "ALTER SYSTEM SET wal_level = logical; -- and a restart", f"{ASSESSMENTS}, postgres-check-wallevel",
        """SELECT 'wal_level' AS object, current_setting('wal_level') AS value
        WHERE current_setting('wal_level') <> 'logical'""",
    ),
    Hazard(
        "slots", Severity.BLOCKS, "There are not enough replication slots",
        f"{_FREE}: the task's, and one that shows what changed since `verify`", _SET,
        f"{ASSESSMENTS}, postgres-check-replication-slots-count",
        _SLOTS.format(needed="(%(needed_slots)s::int)", own="stackferry_changes"),
    ),
    Hazard(
        "senders", Severity.BLOCKS, "There are not enough WAL senders", _FREE, _SET,
        f"{ASSESSMENTS}, postgres-check-maxwalsenders", _SENDERS.format(needed="(%(needed_slots)s::int)"),
    ),
    Hazard(
        "sender-timeout", Severity.BLOCKS, "wal_sender_timeout is too short",
        "wal_sender_timeout is {value} ms: a task needs 10,000 ms, or 0 for none",
        "ALTER SYSTEM SET wal_sender_timeout = '60s'; SELECT pg_reload_conf();",
        f"{ASSESSMENTS}, postgres-check-walsenderstimeout",
        """SELECT 'wal_sender_timeout' AS object, setting::int AS value FROM pg_settings
        WHERE name = 'wal_sender_timeout' AND setting::int BETWEEN 1 AND 9999""",
    ),
    Hazard(
        "session-timeout", Severity.BLOCKS, "The sessions of DMS's user are ended by a timeout",
        "{object} is {value}: DMS's sessions are idle for long, and its statements of the load run for long",
        'ALTER ROLE {user} SET {object} = 0;', f"{PREREQUISITES} (idle_in_transaction_session_timeout)",
        # The settings of our own session are those of the server and of our user; those of another are in the catalog.
        f"""SELECT object, min(value) AS value, quote_ident(%(dms_user)s) AS "user" FROM (
          SELECT name AS object, setting || coalesce(unit, '') AS value FROM pg_settings
          WHERE name IN ({_TIMEOUTS}) AND setting::int > 0
            AND (current_user = %(dms_user)s OR source NOT IN ('user', 'database user'))
          UNION ALL
          SELECT split_part(c, '=', 1), split_part(c, '=', 2) FROM pg_roles r JOIN pg_db_role_setting s
            ON s.setrole = r.oid, unnest(s.setconfig) AS c
          WHERE r.rolname = %(dms_user)s AND current_user <> %(dms_user)s AND split_part(c, '=', 1) IN ({_TIMEOUTS})
            AND split_part(c, '=', 2) !~ '^0' AND s.setdatabase IN (0, (SELECT oid FROM pg_database
              WHERE datname = current_database()))
        ) AS t GROUP BY object""",
    ),
    Hazard(
        "connection-limit", Severity.BLOCKS, "DMS's user or the database has a limit of connections",
        "{object} takes {value} connections: the task alone opens one for each of its 8 load threads, and more to "
        "validate", "{how}", "layers/_migration/task.py, MaxFullLoadSubTasks and ThreadCount",
        """SELECT 'role ' || quote_ident(rolname) AS object, rolconnlimit AS value,
          'ALTER ROLE ' || quote_ident(rolname) || ' CONNECTION LIMIT -1;' AS how
        FROM pg_roles WHERE rolname = %(dms_user)s AND rolconnlimit BETWEEN 0 AND 19
        UNION ALL SELECT 'database ' || quote_ident(datname), datconnlimit,
          'ALTER DATABASE ' || quote_ident(datname) || ' CONNECTION LIMIT -1;'
        FROM pg_database WHERE datname = current_database() AND datconnlimit BETWEEN 0 AND 19""",
    ),
    Hazard(
        "prepared-transaction", Severity.BLOCKS, "A prepared transaction is open",
        "{object} has waited since {since}: a replication slot cannot be made while it is there",
        "COMMIT PREPARED {object}; -- or ROLLBACK PREPARED, in the database {database}",
        f"{ASSESSMENTS}, postgres-check-preparedtxn",
        """SELECT quote_literal(gid) AS object, date_trunc('second', prepared)::text AS since, database
        FROM pg_prepared_xacts""",
    ),
    Hazard(
        "two-phase", Severity.NOTE, "Transactions may be prepared",
        "max_prepared_transactions is {value}: DMS does not process two-phase commits as such, and each that "
        "waits holds "
        "up the slot", "commit prepared transactions at once", SOURCE_LIMITS,
        """SELECT 'max_prepared_transactions' AS object, current_setting('max_prepared_transactions') AS value
        WHERE current_setting('max_prepared_transactions')::int > 0""",
    ),
    Hazard(
        "long-transaction", Severity.BLOCKS, "A transaction has been open for long",
        "{who} since {since} ({state}): a slot is not made before it ends, and the task does not start",
        "SELECT pg_terminate_backend({pid}); -- or let it end", f"{ASSESSMENTS}, postgres-check-longrunningtxn",
        f"""SELECT 'pid ' || pid AS object, pid, state, date_trunc('second', xact_start)::text AS since,
          concat_ws(' ', usename, 'in', datname, nullif(application_name, '')) AS who
        FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
          AND xact_start < now() - interval '{LONG_MINUTES} minutes'""",
    ),
    Hazard(
        "sessions-not-seen", Severity.NOTE, "The transactions of some sessions are not seen",
        "sessions of roles that this user may not look at: {count}; nobody can say how long their transactions run",
        "GRANT pg_read_all_stats TO {user};", 'PostgreSQL, "Predefined Roles"',
        """SELECT 'sessions' AS object, count(*) AS count, quote_ident(current_user) AS "user" FROM pg_stat_activity
        WHERE usename IS NOT NULL AND backend_type IS NULL AND pid <> pg_backend_pid() HAVING count(*) > 0""",
    ),
    Hazard(
        "encoding", Severity.LOSES, "The encoding is not UTF8",
        "the source has {value}: {what}", "{how}", 'PostgreSQL, "Character Set Support"',
        """SELECT 'encoding' AS object, pg_encoding_to_char(encoding) AS value,
          CASE WHEN pg_encoding_to_char(encoding) = 'SQL_ASCII' THEN 'its texts may hold any bytes, and those
          that are not '
            'UTF-8 stop the load' ELSE 'texts are converted, and the target may have another' END AS what,
          CASE WHEN pg_encoding_to_char(encoding) = 'SQL_ASCII' THEN 'find and fix texts that are not UTF-8 first, by '
            'convert_from(column::bytea, ''UTF8''); then accept this'
            ELSE 'nothing, where the target is UTF8' END AS how,
          CASE WHEN pg_encoding_to_char(encoding) <> 'SQL_ASCII' THEN 'note' END AS severity
        FROM pg_database WHERE datname = current_database() AND pg_encoding_to_char(encoding) <> 'UTF8'""",
    ),
    Hazard(
        "collation-version", Severity.BLOCKS, "The collation of the source has changed since its indexes were built",
        "the library sorts as {actual}, the indexes as {recorded}: a unique index may have let duplicates in, "
        "which the "
        "target refuses",
        "REINDEX DATABASE {object}; ALTER DATABASE {object} REFRESH COLLATION VERSION;",
        'PostgreSQL, "ALTER DATABASE", REFRESH COLLATION VERSION',
        """SELECT quote_ident(datname) AS object, to_jsonb(d)->>'datcollversion' AS recorded,
          pg_database_collation_actual_version(oid) AS actual
        FROM pg_database d WHERE datname = current_database()
          AND to_jsonb(d)->>'datcollversion' <> pg_database_collation_actual_version(oid)""", since=150000,
    ),
    Hazard(
        "md5-password", Severity.STEP, "A role's password is kept as MD5",
        "RDS takes SCRAM alone (rds.accepted_password_auth_method): the role {object} cannot log in with it",
        "\\password {object} -- with password_encryption = 'scram-sha-256'; else `schema` makes a new one",
        'RDS user guide, "Using SCRAM for PostgreSQL password encryption"',
        f"""SELECT quote_ident(r.rolname) AS object FROM pg_authid r
        WHERE r.rolcanlogin AND r.rolpassword LIKE 'md5%%' AND NOT r.rolsuper AND {USED_HERE}
          AND r.rolname NOT IN (current_user, %(dms_user)s, %(fallback_user)s)""",
        reads="pg_authid",
    ),
    Hazard(
        "wraparound", Severity.NOTE, "The database is far from its last freeze",
        "its oldest transaction is {value} transactions old, and a slot that waits keeps VACUUM from the catalogs",
        "VACUUM (FREEZE); -- before the load", 'PostgreSQL, "Preventing Transaction ID Wraparound Failures"',
        """SELECT quote_ident(datname) AS object, age(datfrozenxid) AS value FROM pg_database
        WHERE datname = current_database() AND age(datfrozenxid) > 1200000000""",
    ),
)  # fmt: skip

TARGET: Sequence[Hazard] = (
    Hazard(
        "target-wal-level", Severity.BLOCKS, "Logical replication is off in the target",
        "wal_level is {value}: there is no way back from it",
        "rds.logical_replication = 1 in the parameter group, and a restart",
        'RDS user guide, "Performing logical replication for Amazon RDS for PostgreSQL"',
        """SELECT 'wal_level' AS object, current_setting('wal_level') AS value
        WHERE current_setting('wal_level') <> 'logical'""",
    ),
    Hazard(
        "target-slots", Severity.BLOCKS, "There are not enough replication slots in the target",
        f"{_FREE}: that of the way back, and one that shows what changed since the cut-over",
        "max_replication_slots = {value} in the parameter group, and a restart",
        'RDS user guide, "Performing logical replication for Amazon RDS for PostgreSQL"',
        _SLOTS.format(needed=2, own="stackferry_fallback|stackferry_changes"),
    ),
    Hazard(
        "target-senders", Severity.BLOCKS, "There are not enough WAL senders in the target", _FREE,
        "max_wal_senders = {value} in the parameter group, and a restart",
        'RDS user guide, "Performing logical replication for Amazon RDS for PostgreSQL"', _SENDERS.format(needed=2),
    ),
    Hazard(
        "target-encoding", Severity.BLOCKS, "The encoding of the target is not UTF8",
        "the target has {value}: texts of the source have characters that it lacks",
        "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0;", 'PostgreSQL, "Character Set Support"',
        """SELECT 'encoding' AS object, pg_encoding_to_char(encoding) AS value FROM pg_database
        WHERE datname = current_database() AND pg_encoding_to_char(encoding) <> 'UTF8'""",
    ),
)  # fmt: skip

VERSION = Hazard(
    "source-version", Severity.BLOCKS, "The replication instance does not support the source's version",
    "{what}", "{how}", 'DMS user guide, "Sources for AWS DMS"',
)  # fmt: skip
TARGET_VERSION = Hazard(
    "target-version", Severity.BLOCKS, "The target's version does not fit", "{what}", "{how}",
    'DMS user guide, "Targets for AWS DMS"; PostgreSQL, "pg_dump", Notes',
)  # fmt: skip
COLLATION = Hazard(
    "collation", Severity.NOTE, "Source and target sort differently",
    "the source sorts by {source}, the target by {target}: ORDER BY of texts answers otherwise, and ranges of "
    "texts too",
    "queries that depend on the order: ORDER BY ... COLLATE \"C\", or a database with the source's locale",
    'PostgreSQL, "Locale Support"',
)  # fmt: skip

PLUGIN = Hazard(
    "plugin", Severity.BLOCKS, "The plug-in of the source endpoint is not installed",
    "SourcePlugin is {object}, and the source has no extension of that name",
    "shared_preload_libraries = 'pglogical', a restart, and CREATE EXTENSION pglogical; or SourcePlugin=test-decoding",
    f"{ASSESSMENTS}, postgres-check-pglogical",
)  # fmt: skip

HAZARDS: Sequence[Hazard] = (*SOURCE, *TARGET, VERSION, TARGET_VERSION, COLLATION, PLUGIN)

_LOCALE = """
SELECT coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale', datcollate) || '/' || datctype
FROM pg_database d WHERE datname = current_database()
"""


def plugin(source: Database, name: str) -> list[HazardFinding]:
    """Look for the plug-in of an extension; test_decoding is none, and its library is not to be seen by SQL."""
    if name != "pglogical" or source.value("SELECT 1 FROM pg_extension WHERE extname = 'pglogical'"):
        return []
    return [finding(PLUGIN, {"object": name})]


def versions(source: Database, target: Database | None, target_major: int, dms: str) -> list[HazardFinding]:
    """Judge the versions; `dms` is that of the replication instance, or empty."""
    found: list[HazardFinding] = []
    major = source.version // 10000
    for hazard, side, table, its in (
        (VERSION, "source", SOURCE_NEEDS, major),
        (TARGET_VERSION, "target", TARGET_NEEDS, target_major),
    ):
        needed = table.get(its, "")
        how = f"ReplicationEngineVersion of the layer migration: {needed or 'a later one'} or later"
        row: dict[str, Any] = {"object": f"PostgreSQL {its}", "how": how}
        if its > NEWEST:
            row["what"] = (
                f"no version of DMS that Stackferry knows supports PostgreSQL {its} as a {side}; look into its guide"
            )
        elif dms and needed and _numbers(dms) < _numbers(needed):
            row["what"] = f"PostgreSQL {its} as a {side} needs DMS {needed}, and the replication instance has {dms}"
        else:
            continue
        found.append(finding(hazard, row))
    if target_major < major:
        what = f"the target has PostgreSQL {target_major}, older than {major}: definitions may not restore"
        row = {"object": "major version", "what": what, "how": f"EngineVersion {major} or later of the layer database"}
        found.append(finding(TARGET_VERSION, row))
    if target:
        locales = {"source": source.value(_LOCALE), "target": target.value(_LOCALE)}
        if locales["source"] != locales["target"]:
            found.append(finding(COLLATION, {"object": "database", **locales}))
    return found


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
