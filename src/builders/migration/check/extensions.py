"""The extensions of RDS for PostgreSQL, and those of a source that RDS has not.

From "Extension versions for Amazon RDS for PostgreSQL" (Amazon RDS for PostgreSQL Release Notes), the table of
PostgreSQL 18 as it was in October 2026, as others have copied it; what earlier versions have besides is from lists of
`rds.extensions` that people have published. RDS adds some with a minor version, and takes some away. So where the
target stands, its own list decides, and an extension that is in no list here is named as unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from psycopg import sql

from builders.errors import MigrationError
from builders.migration.check.hazards import Hazard, HazardFinding, Severity, finding
from builders.migration.databases import Database

PAGE = 'Amazon RDS for PostgreSQL Release Notes, "Extension versions for Amazon RDS for PostgreSQL"'

IN_EVERY_VERSION: Collection[str] = frozenset(
    [
        "address_standardizer",
        "address_standardizer_data_us",
        "amcheck",
        "autoinc",
        "aws_commons",
        "aws_lambda",
        "aws_s3",
        "bloom",
        "btree_gin",
        "btree_gist",
        "citext",
        "cube",
        "dblink",
        "dict_int",
        "dict_xsyn",
        "earthdistance",
        "fuzzystrmatch",
        "hll",
        "hstore",
        "hstore_plperl",
        "insert_username",
        "intagg",
        "intarray",
        "ip4r",
        "isn",
        "log_fdw",
        "ltree",
        "moddatetime",
        "orafce",
        "pageinspect",
        "pg_buffercache",
        "pg_freespacemap",
        "pg_hint_plan",
        "pg_prewarm",
        "pg_proctab",
        "pg_repack",
        "pg_similarity",
        "pg_stat_statements",
        "pg_transport",
        "pg_trgm",
        "pg_visibility",
        "pgaudit",
        "pgcrypto",
        "pglogical",
        "pgrouting",
        "pgrowlocks",
        "pgstattuple",
        "pgtap",
        "plperl",
        "plpgsql",
        "plprofiler",
        "pltcl",
        "plv8",
        "postgis",
        "postgis_raster",
        "postgis_tiger_geocoder",
        "postgis_topology",
        "postgres_fdw",
        "prefix",
        "refint",
        "seg",
        "sslinfo",
        "tablefunc",
        "tcn",
        "tsm_system_rows",
        "tsm_system_time",
        "unaccent",
        "uuid-ossp",
    ]
)

SINCE: Mapping[str, int] = MappingProxyType(
    {
        "bool_plperl": 13, "jsonb_plperl": 11, "pg_bigm": 11, "pg_cron": 12, "pg_partman": 12, "lo": 13,
        "mysql_fdw": 14,
        "oracle_fdw": 12, "tds_fdw": 13, "rdkit": 12, "hypopg": 13, "rds_tools": 13, "vector": 13, "pg_tle": 14,
        "h3": 14, "h3_postgis": 14, "pg_walinspect": 15, "pg_logicalinspect": 18, "pg_stat_monitor": 18,
        "roaringbitmap": 18,
    }
)  # fmt: skip
"""{extension: the first major version of which a list has it}."""

UNTIL: Mapping[str, int] = MappingProxyType({"plcoffee": 16, "plls": 16, "test_parser": 12, "plrust": 17})
"""{extension: the last major version of which a list has it}; a later one is unknown."""

NEVER: Collection[str] = frozenset(
    [
        "adminpack",
        "file_fdw",
        "pg_surgery",
        "xml2",
        "plperlu",
        "pltclu",
        "plpython2u",
        "plpython3u",
        "plpythonu",
        "pljava",
        "pljavau",
        "plr",
        "plsh",
        "hstore_plperlu",
        "hstore_plpython3u",
        "jsonb_plperlu",
        "jsonb_plpython3u",
        "ltree_plpython3u",
        "bool_plperlu",
        "timescaledb",
        "citus",
        "columnar",
        "pg_stat_kcache",
        "pg_qualstats",
        "pg_wait_sampling",
        "powa",
        "pgagent",
        "pg_squeeze",
        "pgsodium",
        "supabase_vault",
        "pg_net",
        "pg_graphql",
        "pg_jsonschema",
        "wrappers",
        "zombodb",
        "rum",
        "pgroonga",
        "pgq",
        "londiste",
        "age",
        "anon",
        "sepgsql",
        "pldbgapi",
        "pg_search",
        "pg_duckdb",
        "pg_ivm",
        "pgmq",
        "pg_uuidv7",
        "timetravel",
        "dbms_job",
        "pg_background",
        "multicorn",
        "mongo_fdw",
        "redis_fdw",
        "hdfs_fdw",
        "clickhouse_fdw",
        "pg_auto_failover",
        "bdr",
        "spock",
        "repmgr",
        "set_user",
        "pgauditlogtofile",
        "credcheck",
        "pg_permissions",
        "login_hook",
    ]
)
"""Extensions that are in no list of RDS; the untrusted languages and those that read the server's files cannot be."""

_PRELOADED: Collection[str] = frozenset(("pg_cron", "pgaudit", "pg_stat_statements", "pg_hint_plan", "pg_similarity",
    "pg_bigm", "pglogical", "plprofiler", "plrust", "pg_tle", "pg_transport", "orafce", "auto_explain"))  # fmt: skip
"""They need shared_preload_libraries in the parameter group."""

MISSING = Hazard(
    "extension", Severity.BLOCKS, "RDS does not have an extension",
    "RDS for PostgreSQL {major} has no extension {object} ({version}): what needs it cannot be restored",
    "DROP EXTENSION {object}; -- after what uses it was rewritten", PAGE,
)  # fmt: skip
UNKNOWN = Hazard(
    "extension-unknown", Severity.BLOCKS, "It is not known whether RDS has an extension",
    "Stackferry does not know whether RDS for PostgreSQL {major} has {object} ({version})",
    "SHOW rds.extensions; -- in an instance of that version; accept this if {object} is there", PAGE,
)  # fmt: skip
OLDER = Hazard(
    "extension-older", Severity.NOTE, "An extension is older in the target",
    "the source has {object} {version}, the target {other}: functions and types of later versions are missing",
    "a later minor version of RDS, or ALTER EXTENSION {object} UPDATE TO '{other}'; on the source, where there "
    "is a way",
    PAGE,
)  # fmt: skip
PRELOADED = Hazard(
    "extension-preloaded", Severity.STEP, "An extension has to be loaded when the server starts",
    "{object} works after shared_preload_libraries of the parameter group has it, and a restart",
    "shared_preload_libraries in the parameter group of the layer database", PAGE,
)  # fmt: skip
DATA = Hazard(
    "extension-data", Severity.LOSES, "An extension keeps rows of yours",
    "the table {object} of {extension} has rows; no schema of the task carries them, and definitions are without them",
    "make them on the target by the extension's own functions, such as cron.schedule", 'PostgreSQL, "Extension '
    'Configuration Tables"',
)  # fmt: skip

TRUNCATE = Hazard(
    "truncate-statement", Severity.LOSES, "Somebody empties tables by TRUNCATE",
    "pg_stat_statements has seen it {calls} times: DMS carries no TRUNCATE, and the task stops at it, or the "
    "target keeps "
    "the rows",
    "use DELETE while the phase runs; then accept this",
    'DMS user guide, "Limitations on using a PostgreSQL database as a DMS source"',
)  # fmt: skip
HAZARDS: Sequence[Hazard] = (TRUNCATE, MISSING, UNKNOWN, OLDER, PRELOADED, DATA)

_INSTALLED = "SELECT extname::text, extversion FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY extname"
_AVAILABLE = "SELECT name::text, default_version FROM pg_available_extensions"
_STATEMENTS = "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = %s"
_TRUNCATE = """
SELECT regexp_replace(query, '[[:space:]]+', ' ', 'g'), sum(calls)::int8 FROM {}.pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query ~* '^[[:space:]]*truncate'
GROUP BY 1
"""
_DATA = """
SELECT e.extname::text, c.oid::regclass::text FROM pg_extension e, unnest(e.extconfig) AS t
JOIN pg_class c ON c.oid = t AND c.relkind = 'r'
WHERE pg_relation_size(t) > 0 AND e.extname NOT LIKE 'postgis%' AND e.extname NOT LIKE 'address_standardizer%'
"""


def is_known(extension: str, major: int) -> bool | None:
    """Return whether RDS has an extension in a major version; None where no list says so."""
    if extension in NEVER:
        return False
    if extension in IN_EVERY_VERSION:
        return True
    if extension in SINCE:
        return True if major >= SINCE[extension] else None
    if extension in UNTIL and major <= UNTIL[extension]:
        return True
    return None


def check(source: Database, target: Database | None, major: int) -> list[HazardFinding]:
    """Compare the extensions of the source with the lists, or with the target's own where it stands."""
    available = dict(target.run(_AVAILABLE)) if target else {}
    found: list[HazardFinding] = []
    for name, version in source.run(_INSTALLED):
        row = {"object": name, "version": version, "major": major, "other": available.get(name, "")}
        known = is_known(name, major)
        if known is False or (target and name not in available):
            found.append(finding(MISSING, row))
        elif known is None and not target:
            found.append(finding(UNKNOWN, row))
        else:
            if target and _numbers(available[name]) < _numbers(version):
                found.append(finding(OLDER, row))
            if name in _PRELOADED and name != "orafce":
                found.append(finding(PRELOADED, row))
    found += [finding(DATA, {"object": table, "extension": name}) for name, table in source.run(_DATA)]
    return found + _truncated(source)


def _truncated(source: Database) -> list[HazardFinding]:
    """Return TRUNCATE statements in pg_stat_statements, where it is installed, loaded, and this user may read it."""
    schema = source.value(_STATEMENTS, ("pg_stat_statements",))
    if not schema:
        return []
    try:
        seen = source.run(sql.SQL(_TRUNCATE).format(sql.Identifier(schema)))
    except MigrationError:
        return []
    return [finding(TRUNCATE, {"object": statement, "calls": calls}) for statement, calls in seen]


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.replace("-", ".").split(".") if part.isdigit()]
