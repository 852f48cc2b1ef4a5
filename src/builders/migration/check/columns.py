"""Hazards of columns: their types and what DMS makes of each, large values, identities and generated columns.

What becomes of a type: DMS user guide, "Using a PostgreSQL database as an AWS DMS source", the tables "Migrating from
PostgreSQL to PostgreSQL using AWS DMS" and "Source data types for PostgreSQL".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from builders.migration.check.hazards import Hazard, Row, Severity
from builders.migration.check.table_rules import limit_large_values, remove_column
from builders.migration.check.tables import SOURCE_LIMITS

TYPES_PAGE = 'DMS user guide, "Source data types for PostgreSQL" and "Migrating from PostgreSQL to PostgreSQL"'
NULL_PAGE = "re:Post, knowledge center, dms-error-null-value-column"

CARRIED: Sequence[str] = (
    "int2", "int4", "int8", "numeric", "float4", "float8", "money", "bpchar", "varchar", "text", "citext", "bytea",
    "timestamp", "timestamptz", "date", "time", "timetz", "interval", "bool", "uuid", "bit", "varbit", "cidr", "xml",
    "json", "jsonb", "hstore", "point", "polygon", "geometry", "geography",
)  # fmt: skip
"""The types that arrive, some with a hazard of their own below."""

LOST: Mapping[str, str] = MappingProxyType(
    {
        "inet": "STRING(50)", "macaddr": "STRING(18)", "macaddr8": "nothing that the guide names",
        "tsvector": "CLOB", "tsquery": "CLOB", "line": "STRING(255)", "lseg": "STRING(255)", "box": "STRING(255)",
        "path": "CLOB", "circle": "STRING(255)", "pg_lsn": "nothing that the guide names",
        "txid_snapshot": "nothing that the guide names", "pg_snapshot": "nothing that the guide names",
    }
)  # fmt: skip
"""{type: what DMS reads it as}: the guide lists them as types that do not migrate, or does not know them."""

LOST_KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "e": ("an enumeration", "STRING(64)"),
        "c": ("a composite type", "NCLOB"),
        "r": ("a range", "STRING(255)"),
        "m": ("a multirange", "nothing that the guide names"),
    }
)
"""Likewise, by pg_type.typtype."""

OF_THE_SYSTEM: Sequence[str] = ("oid", "lo", "xid", "xid8", "cid", "tid", "name", "char", "int2vector", "oidvector",
    "regclass", "regproc", "regprocedure", "regtype", "regoper", "regoperator", "regrole", "regnamespace", "regconfig",
    "regdictionary", "regcollation", "jsonpath", "refcursor", "aclitem")  # fmt: skip


def _remove(row: Row) -> str:
    return f"TableRules: {remove_column(row['nspname'], row['relname'], row['attname'])}"


def _as_text(row: Row) -> str:
    """The remedy of a type that does not arrive."""
    table, column = row["table_name"], row["column_name"]
    if row["base_name"] in ("tsvector", "tsquery"):
        return f"{_remove(row)}, and UPDATE {table} SET {column} = ...; -- on the target, at the cut-over"
    return (
        f"ALTER TABLE {table} ALTER COLUMN {column} TYPE text USING {column}::text; -- for as long as the phase "
        f"runs; or "
        f"leave the column out, by {_remove(row)}; or accept it after a test with your version of DMS"
    )


def _fate(row: Row) -> str:
    kind = LOST_KINDS.get(row["base_kind"])
    if kind:
        return f"{row['type']} is {kind[0]}, which the guide lists as not migrated; DMS reads it as {kind[1]}"
    return f"{row['type']} does not migrate, as the guide says; DMS reads it as {LOST[row['base_name']]}"


_COLUMN = "name AS object, table_name, column_name, nspname, relname, attname, type, base_name, base_kind"
_names = ", ".join(f"'{name}'" for name in LOST)
_others = ", ".join(f"'{name}'" for name in (*CARRIED, *LOST, *OF_THE_SYSTEM))


def _sampled(types: str, pattern: str) -> str:
    """The query of columns whose statistics show values of a form: the catalogs know a sample, --measure all."""
    return f"""SELECT {_COLUMN.replace("name AS", "c.name AS").replace("attname, type", "c.attname, type")}
      FROM carried c JOIN pg_stats s ON s.schemaname = c.nspname AND s.tablename = c.relname AND s.attname = c.attname
      WHERE c.generated = '' AND c.base_name IN ({types})
        AND concat(s.most_common_vals::text, s.histogram_bounds::text) ~ '{pattern}'"""


_TYPES = (
    Hazard(
        "type-lost", Severity.LOSES, "A column has a type that DMS does not carry", _fate, _as_text, TYPES_PAGE,
        f"""SELECT {_COLUMN}, CASE WHEN in_key THEN 'blocks' END AS severity FROM carried
        WHERE generated = '' AND (base_kind IN ('e', 'c', 'r', 'm') OR base_name IN ({_names}))""",
    ),
    Hazard(
        "type-unknown", Severity.LOSES, "A column has a type that DMS's guide does not name",
        "the guide does not say what becomes of {type}: DMS sends some unknown types as text, and drops others",
        _as_text,
        TYPES_PAGE,
        f"""SELECT {_COLUMN} FROM carried WHERE generated = '' AND category <> 'A' AND base_kind = 'b'
          AND base_name NOT IN ({_others})""",
    ),
    Hazard(
        "type-array-of", Severity.LOSES, "A column is an array of a type that DMS does not carry",
        "{type}: arrays travel as text, and the guide does not say that these elements do", _as_text, TYPES_PAGE,
        f"""SELECT c.name AS object, c.table_name, c.column_name, c.nspname, c.relname, c.attname, c.type, c.base_name,
          c.base_kind FROM carried c JOIN pg_type e ON e.oid = c.element
        WHERE c.generated = '' AND c.category = 'A'
          AND (e.typtype IN ('e', 'c', 'r', 'm') OR e.typname IN ({_names}))""",
    ),
    Hazard(
        "oid-column", Severity.LOSES, "A column refers to a large object, or to an object of the system",
        "{type} is a number that differs in RDS, and large objects are not carried",
        "move what it points to into a bytea column; else TableRules leave the column out",
        f"{SOURCE_LIMITS} (the OID LOB data type)",
        f"""SELECT {_COLUMN} FROM carried
        WHERE generated = '' AND base_name IN ('oid', 'lo', 'regclass', 'regproc', 'regprocedure', 'regtype', 'regoper',
          'regoperator', 'regrole', 'regnamespace', 'regconfig', 'regdictionary', 'regcollation', 'oidvector')""",
    ),
    Hazard(
        "type-of-the-system", Severity.LOSES, "A column has a type of PostgreSQL's own catalogs",
        "{type} is in no table of DMS's guide", _as_text, TYPES_PAGE,
        f"""SELECT {_COLUMN} FROM carried WHERE generated = '' AND base_name IN ('xid', 'xid8', 'cid', 'tid', 'name',
          'char', 'int2vector', 'jsonpath', 'refcursor', 'aclitem')""",
    ),
    Hazard(
        "numeric-unbounded", Severity.LOSES, "A number has no precision",
        "the load carries it as text (mapUnboundedNumericAsString), but changes keep 28 digits",
        "ALTER TABLE {table_name} ALTER COLUMN {column_name} TYPE numeric(28, 6); -- or as the values need; or accept "
        "it where no value has more than 28 digits: --measure counts them",
        'DMS user guide, "Using a PostgreSQL database as a target", MapUnboundedNumericAsString',
        f"SELECT {_COLUMN} FROM carried WHERE generated = '' AND base_name = 'numeric' AND typmod = -1",
    ),
    Hazard(
        "numeric-precision", Severity.LOSES, "A number has more than 38 digits, or an unusual scale",
        "{type} is outside of what DMS takes as a number (precision up to 38, scale from 0 to the precision): it "
        "travels as text, and is rounded where that does not hold",
        "ALTER TABLE {table_name} ALTER COLUMN {column_name} TYPE numeric(38, 6); -- or as the values need",
        TYPES_PAGE,
        # The modifier holds the precision above, and the scale in the 11 lowest bits (PostgreSQL 15, numeric.c).
        f"""SELECT {_COLUMN} FROM carried WHERE generated = '' AND base_name = 'numeric' AND typmod <> -1
          AND (((typmod - 4) >> 16) & 65535 > 38 OR ((((typmod - 4) & 2047) # 1024) - 1024) < 0
            OR ((((typmod - 4) & 2047) # 1024) - 1024) > (((typmod - 4) >> 16) & 65535))""",
    ),
    Hazard(
        "varchar-unbounded", Severity.NOTE, "A varchar has no length",
        "it is a large value for DMS, and one above 10 MiB is refused (unboundedVarcharMaxSize)",
        "ALTER TABLE {table_name} ALTER COLUMN {column_name} TYPE varchar(...); -- as long as its values are; "
        "--measure "
        "looks",
        'DMS user guide, "Using a PostgreSQL database as an AWS DMS source", UnboundedVarcharMaxSize',
        f"SELECT {_COLUMN} FROM carried WHERE generated = '' AND base_name = 'varchar' AND typmod = -1",
    ),
    Hazard(
        "char-unbounded", Severity.LOSES, "A bpchar has no length",
        "DMS takes a character type without a length as one character",
        "ALTER TABLE {table_name} ALTER COLUMN {column_name} TYPE text;", TYPES_PAGE,
        f"SELECT {_COLUMN} FROM carried WHERE generated = '' AND base_name = 'bpchar' AND typmod = -1",
    ),
    Hazard(
        "time-with-zone", Severity.LOSES, "A time of day has a zone",
        "DMS reads it as TIME, which has no zone", _as_text, TYPES_PAGE,
        f"SELECT {_COLUMN} FROM carried WHERE generated = '' AND base_name = 'timetz'",
    ),
    Hazard(
        "interval", Severity.NOTE, "A column is an interval",
        "the guide lists it as partially migrated: it travels as text of at most 128 characters",
        "let `migrate-database verify` compare it", TYPES_PAGE,
        f"SELECT {_COLUMN} FROM carried WHERE generated = '' AND base_name = 'interval'",
    ),
    Hazard(
        "money", Severity.NOTE, "A column is money",
        "its text depends on lc_monetary, which is {lc_monetary} on the source: the target needs the same",
        "ALTER TABLE {table_name} ALTER COLUMN {column_name} TYPE numeric(19, 4) USING {column_name}::numeric;",
        TYPES_PAGE,
        f"""SELECT {_COLUMN}, current_setting('lc_monetary') AS lc_monetary FROM carried
        WHERE generated = '' AND base_name = 'money'""",
    ),
    Hazard(
        "document", Severity.NOTE, "A column is XML or JSON",
        "the guide lists {type} as partially migrated: small documents arrive, very large ones may fail",
        "let `migrate-database verify` compare it; --measure reads the largest", TYPES_PAGE,
        f"SELECT {_COLUMN} FROM carried WHERE generated = '' AND base_name IN ('xml', 'json')",
    ),
    Hazard(
        "infinite-time", Severity.LOSES, "A date or time is infinite, before Christ, or after the year 9999",
        "there are such values: DMS cuts infinity to 9999-12-31 23:59:59 and 4713-01-01 BC",
        "UPDATE {table_name} SET {column_name} = NULL WHERE NOT isfinite({column_name}); -- or another value "
        "that means "
        "it",
        'DMS user guide, "Migrating from PostgreSQL to PostgreSQL", TIMESTAMP',
        _sampled("'date', 'timestamp', 'timestamptz'", "(infinity| BC|[0-9]{5,}-)"),
    ),
    Hazard(
        "odd-number", Severity.LOSES, "A number is NaN or infinite",
        "there are such values, and the guide does not say that they arrive",
        "UPDATE {table_name} SET {column_name} = NULL WHERE {column_name} IN ('NaN', 'Infinity', '-Infinity');",
        TYPES_PAGE, _sampled("'float4', 'float8', 'numeric'", "(NaN|Infinity)"),
    ),
)  # fmt: skip


def _large(row: Row) -> str:
    """The remedy of large values: with the size, once it is measured, the faster mode."""
    rule = limit_large_values(row["nspname"], row["relname"], 0)
    return (
        "--measure reads the largest value; then the load is faster with TableRules, three times that size in KiB for "
        f"the 0: {rule}"
    )


_VALUES = (
    Hazard(
        "large-not-null", Severity.STEP, "A large value is NOT NULL",
        "DMS writes a row with NULL in {column_name} ({type}) first, and the value afterwards (23502)",
        "`schema` leaves NOT NULL off on the target, and the cut-over puts it on", NULL_PAGE,
        f"""SELECT {_COLUMN} FROM carried
        WHERE large AND attnotnull AND NOT in_key AND generated = '' AND relkind = 'r'""",
    ),
    Hazard(
        "large-check", Severity.STEP, "A CHECK does not let a large value be NULL",
        "DMS writes a row with NULL in its large values first, which {definition} refuses (23514)",
        "`schema` leaves it off on the target, and the cut-over puts it on", NULL_PAGE,
        r"""SELECT c.table_name || '.' || quote_ident(k.conname) AS object, pg_get_constraintdef(k.oid) AS definition
        FROM carried c JOIN pg_constraint k ON k.conrelid = c.table_oid AND k.contype = 'c' AND c.attnum = ANY
        (k.conkey)
        WHERE c.large AND c.relkind = 'r' AND pg_get_constraintdef(k.oid)
          ~* '(is not null|is distinct from|is (not )?(true|false)|coalesce\(|num_n(on)?nulls\()'
        GROUP BY c.table_name, k.conname, k.oid""",
    ),
    Hazard(
        "domain-not-null", Severity.STEP, "A large value has a domain that refuses NULL",
        "DMS writes a row with NULL in {column_name} first, which the domain {type} refuses (23502)",
        "`schema` leaves that off on the target, and the cut-over puts it on", NULL_PAGE,
        # A domain of a schema that is not carried is on the target as somebody made it there.
        f"""SELECT {_COLUMN}, CASE WHEN is_outside THEN 'blocks' END AS severity, CASE WHEN is_outside
          THEN 'ALTER DOMAIN ' || type || ' DROP NOT NULL; -- on the target, until the cut-over' END AS remedy
        FROM carried c JOIN pg_type y ON y.oid = c.atttypid AND y.typtype = 'd'
        JOIN LATERAL (SELECT n.nspname <> ALL (%(schemas)s::text[]) AS is_outside FROM pg_namespace n
          WHERE n.oid = y.typnamespace) AS o ON true
        WHERE c.large AND c.relkind = 'r' AND (y.typnotnull OR EXISTS (SELECT FROM pg_constraint k
          WHERE k.contypid = y.oid AND pg_get_constraintdef(k.oid) ~* 'is not null'))""",
    ),
    Hazard(
        "large-values", Severity.NOTE, "A table has values that are stored apart",
        "{columns}: {stored} in all; each value above 32 KiB is loaded by a query of its own, and a JSON or XML "
        "document "
        "that is very large may fail",
        _large, 'DMS user guide, "Setting LOB support for source databases in an AWS DMS task"',
        """SELECT t.name AS object, t.nspname, t.relname, pg_size_pretty(pg_relation_size(t.reltoastrelid)) AS stored,
          string_agg(c.column_name || ' (' || c.type || ')', ', ' ORDER BY c.attnum) AS columns
        FROM chosen t JOIN carried c ON c.table_oid = t.oid AND c.large
        WHERE t.relkind = 'r' AND t.reltoastrelid <> 0 AND pg_relation_size(t.reltoastrelid) > 0
        GROUP BY t.name, t.nspname, t.relname, t.reltoastrelid""",
    ),
    Hazard(
        "generated-column", Severity.BLOCKS, "A column is computed by the table itself",
        "PostgreSQL refuses every value for {column_name}: the load fails, and so does every change (428C9)", _remove,
        'PostgreSQL, "Generated Columns"',
        f"SELECT {_COLUMN} FROM carried WHERE generated <> '' AND relkind = 'r'",
    ),
    Hazard(
        "identity-always", Severity.STEP, "An identity column is GENERATED ALWAYS",
        "it refuses the values of the source's changes (428C9)",
        "`schema` makes it BY DEFAULT on the target, and the cut-over ALWAYS again", 'PostgreSQL, "CREATE TABLE"',
        f"SELECT {_COLUMN} FROM carried WHERE attidentity = 'a' AND relkind = 'r'",
    ),
    Hazard(
        "collation-nondeterministic", Severity.NOTE, "A column has a nondeterministic collation",
        "texts that differ count as equal: keys and comparisons by {column_name} are not exact ({collation})",
        "ALTER TABLE {table_name} ALTER COLUMN {column_name} TYPE {type} COLLATE \"C\"; -- if it is in a key",
        'PostgreSQL, "Collation Support"',
        f"""SELECT {_COLUMN}, l.collname AS collation FROM carried c JOIN pg_collation l ON l.oid = c.attcollation
        WHERE NOT (to_jsonb(l)->>'collisdeterministic')::boolean""", since=120000,
    ),
    Hazard(
        "collation-of-the-system", Severity.STEP, "A column has a collation of the operating system",
        "{collation} is a locale of the source's C library: RDS may lack it, or sort otherwise",
        "`schema` names it when the target lacks it; compare with SELECT collname FROM pg_collation in RDS",
        'RDS user guide, "Collations supported in RDS for PostgreSQL"',
        f"""SELECT {_COLUMN}, quote_ident(l.collname) AS collation
        FROM carried c JOIN pg_collation l ON l.oid = c.attcollation
        WHERE l.collprovider = 'c' AND l.collname NOT IN ('C', 'POSIX', 'ucs_basic')""",
    ),
)  # fmt: skip

HAZARDS: Sequence[Hazard] = (*_TYPES, *_VALUES)
