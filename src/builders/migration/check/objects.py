"""Hazards of all that is no table: sequences, triggers, views, functions, large objects, what belongs to the
database."""

from __future__ import annotations

from collections.abc import Sequence

from builders.migration.check.hazards import USED_HERE, Hazard, Severity
from builders.migration.check.tables import SOURCE_LIMITS, TARGET
from builders.migration.definitions import not_of_an_extension

RDS_SUPERUSER = 'RDS user guide, "Understanding the rds_superuser role"'

_SEQUENCES = (
    Hazard(
        "sequences", Severity.STEP, "The schema has sequences",
        "DMS carries no sequence: {count} of them would begin again on the target", "the cut-over sets them", TARGET,
        """SELECT 'schema ' || quote_ident(schemaname) AS object, count(*) AS count FROM pg_sequences
        WHERE schemaname = ANY (%(schemas)s) GROUP BY schemaname""",
    ),
    Hazard(
        "sequence-near-end", Severity.BLOCKS, "A sequence is near its end",
        "{used} % of its values are used, up to {last} of {ends}{by}: the cut-over adds a margin, and then there are "
        "none left",
        "{how}", 'PostgreSQL, "CREATE SEQUENCE"',
        """WITH owner AS (
          SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS number FROM pg_depend d
          WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
            AND d.refobjsubid > 0
          UNION
          SELECT d.refobjid, f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
          WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
        ), named AS (
          SELECT quote_ident(s.schemaname) || '.' || quote_ident(s.sequencename) AS object,
          s.last_value::numeric AS last,
            s.increment_by > 0 AS grows, s.min_value::numeric AS low, s.max_value::numeric AS high, s.cycle,
            min(CASE format_type(a.atttypid, NULL) WHEN 'smallint' THEN 32767 WHEN 'integer' THEN 2147483647
            END::numeric)
              AS column_high,
            min(o.relation::regclass::text || '.' || quote_ident(a.attname)) FILTER (
              WHERE format_type(a.atttypid, NULL) IN ('smallint', 'integer')) AS column_name
          FROM pg_sequences s JOIN pg_class c ON c.relname = s.sequencename AND c.relkind = 'S'
          JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = s.schemaname
          LEFT JOIN owner o ON o.sequence = c.oid
          LEFT JOIN pg_attribute a ON a.attrelid = o.relation AND a.attnum = o.number
          WHERE s.schemaname = ANY (%(schemas)s) AND s.last_value IS NOT NULL
          GROUP BY s.schemaname, s.sequencename, s.last_value, s.increment_by, s.min_value, s.max_value, s.cycle
        ), bounded AS (
          SELECT *, CASE WHEN grows THEN least(high, coalesce(column_high, high)) ELSE low END AS ends,
            CASE WHEN grows AND column_high < high THEN ' (' || column_name || ' ends there)' ELSE '' END AS by
          FROM named
        ), judged AS (
          SELECT *, CASE WHEN grows THEN (last - low + 1) / nullif(ends - low + 1, 0)
            ELSE (high - last + 1) / nullif(high - ends + 1, 0) END AS part
          FROM bounded
        )
        SELECT object, last, ends, by, floor(100 * part) AS used,
          CASE WHEN part < 0.95 OR cycle THEN 'note' END AS severity,
          CASE WHEN cycle THEN 'nothing: it has CYCLE, and begins again at its end' WHEN column_name IS NOT NULL THEN
            'ALTER TABLE ' || regexp_replace(column_name, '\\.([^.]*)$', ' ALTER COLUMN \\1') || ' TYPE bigint; '
            || 'ALTER SEQUENCE ' || object || ' AS bigint MAXVALUE 9223372036854775807;'
          ELSE 'ALTER SEQUENCE ' || object || ' MAXVALUE ' || CASE WHEN high < 9223372036854775807
            THEN '9223372036854775807;' ELSE '...; -- or begin it again below' END END AS how
        FROM judged WHERE part > 0.8""",
    ),
)  # fmt: skip

_REACTIONS = (
    Hazard(
        "trigger", Severity.STEP, "A table has triggers",
        "on the target they would fire for replicated changes, whose own rows are replicated, too: {triggers}",
        "`schema` keeps them for the cut-over", TARGET,
        """SELECT t.name AS object, string_agg(quote_ident(g.tgname) || CASE g.tgenabled WHEN 'D' THEN ' (disabled)'
            ELSE '' END, ', ' ORDER BY g.tgname) AS triggers
        FROM chosen t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal GROUP BY t.name""",
    ),
    Hazard(
        "trigger-of-replicas", Severity.LOSES, "A trigger fires in the session of a replica",
        "on the way back DMS writes to this server as a replica, and {trigger} fires all the same: what it does "
        "is done "
        "twice",
        "ALTER TABLE {table_name} ENABLE TRIGGER {trigger}; -- from the cut-over on, or accept it",
        'PostgreSQL, "ALTER TABLE", ENABLE ALWAYS TRIGGER',
        """SELECT t.name || '.' || quote_ident(g.tgname) AS object, t.name AS table_name, quote_ident(g.tgname)
        AS trigger
        FROM chosen t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgenabled IN ('A', 'R')""",
    ),
    Hazard(
        "rule", Severity.STEP, "A table has a rule",
        "on the target it would act on replicated changes: {rules}", "`schema` keeps it for the cut-over", TARGET,
        """SELECT t.name AS object, string_agg(quote_ident(r.rulename), ', ' ORDER BY r.rulename) AS rules
        FROM chosen t JOIN pg_rewrite r ON r.ev_class = t.oid AND r.rulename <> '_RETURN' GROUP BY t.name""",
    ),
    Hazard(
        "event-trigger", Severity.LOSES, "The database has an event trigger",
        "it belongs to no schema, so the definitions of the schemas are without it; in RDS a member of rds_superuser "
        "makes it",
        "CREATE EVENT TRIGGER {object} ON {event} EXECUTE FUNCTION {function}(); -- on the target, after the cut-over",
        RDS_SUPERUSER,
        f"""SELECT quote_ident(v.evtname) AS object, v.evtevent AS event, v.evtfoid::regproc::text AS function
        FROM pg_event_trigger v WHERE v.evtname <> 'awsdms_intercept_ddl'
          AND {not_of_an_extension("pg_event_trigger", "v.oid")}""",
    ),
    Hazard(
        "materialized-view", Severity.STEP, "The schema has a materialized view",
        "DMS does not carry it", "`schema` makes it, and the cut-over refreshes it", SOURCE_LIMITS,
        f"""SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS object
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY (%(schemas)s) AND c.relkind = 'm' AND {not_of_an_extension("pg_class", "c.oid")}""",
    ),
    Hazard(
        "foreign-table", Severity.LOSES, "The schema has a foreign table",
        "its rows are elsewhere, and DMS does not carry it: the server {server} ({wrapper}) and its passwords "
        "have to be "
        "made on the target, which needs a way there",
        "CREATE SERVER {server} FOREIGN DATA WRAPPER {wrapper} ...; CREATE USER MAPPING ...; -- on the target, "
        "and a way "
        "from the phase's network",
        'RDS user guide, "Working with the supported foreign data wrappers"',
        f"""SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS object, quote_ident(s.srvname) AS server,
          quote_ident(w.fdwname) AS wrapper
        FROM pg_foreign_table f JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_foreign_server s ON s.oid = f.ftserver JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
        WHERE n.nspname = ANY (%(schemas)s) AND {not_of_an_extension("pg_class", "c.oid")}""",
    ),
    Hazard(
        "foreign-server", Severity.LOSES, "The database has a foreign server",
        "it belongs to no schema, so the definitions are without it, and without its users' passwords",
        "CREATE SERVER {object} FOREIGN DATA WRAPPER {wrapper} ...; -- on the target, with its user mappings",
        'PostgreSQL, "CREATE SERVER"',
        f"""SELECT quote_ident(s.srvname) AS object, quote_ident(w.fdwname) AS wrapper
        FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
        WHERE {not_of_an_extension("pg_foreign_server", "s.oid")}""",
    ),
)  # fmt: skip

_PROGRAMS = """
SELECT p.oid::regprocedure::text AS object, l.lanname AS language, quote_ident(r.rolname) AS owner
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
JOIN pg_roles r ON r.oid = p.proowner,
  regexp_replace(regexp_replace(p.prosrc, '/\\*.*?\\*/', ' ', 'g'), '--[^\\n]*', ' ', 'g') AS code
WHERE n.nspname = ANY (%(schemas)s) AND {own} AND {condition}
"""


def _programs(condition: str) -> str:
    return _PROGRAMS.format(own=not_of_an_extension("pg_proc", "p.oid"), condition=condition)


_CODE = (
    Hazard(
        "truncate-in-function", Severity.LOSES, "A function empties tables by TRUNCATE",
        "DMS carries no TRUNCATE: the task stops at it (ApplyErrorFailOnTruncationDdl), or the target keeps the rows",
        "let it DELETE, or do not run it, while the phase runs; then accept this", SOURCE_LIMITS,
        _programs("l.lanname NOT IN ('c', 'internal') AND code "
                  "~* '\\mtruncate\\s+(table\\s+|only\\s+)?[\"a-z_%%]'"),
    ),
    Hazard(
        "ddl-in-function", Severity.LOSES, "A function changes tables or partitions",
        "DMS captures no DDL of a function, and no partition that is added, detached or dropped: the definitions of "
        "both sides diverge",
        "do not run it while the phase runs; then accept this", SOURCE_LIMITS,
        _programs("l.lanname NOT IN ('c', 'internal') AND p.prorettype <> 'event_trigger'::regtype AND code ~* "
                  "'\\m(alter\\s+table|drop\\s+table|create\\s+(unlogged\\s+)?table)\\M'"),
    ),
    Hazard(
        "large-object-function", Severity.LOSES, "A function works with large objects",
        "DMS does not carry large objects", "keep such values in a bytea column", SOURCE_LIMITS,
        _programs("l.lanname NOT IN ('c', 'internal') AND code ~* '\\m(lo_(import|export|creat|create|unlink|put|"
                  "get|open|from_bytea)|loread|lowrite)\\s*\\('"),
    ),
    Hazard(
        "function-of-the-host", Severity.LOSES, "A function reads or writes files or runs programs of the server",
        "RDS does not allow that: it fails on the target", "rewrite it for the target (aws_s3, for files), or drop it",
        RDS_SUPERUSER,
        _programs("l.lanname NOT IN ('c', 'internal') AND code ~* '(\\m(pg_read_file|pg_read_binary_file|pg_ls_dir|"
                  "pg_stat_file|lo_import|lo_export|pg_file_write)\\s*\\(|\\mcopy\\M[^;]*\\m(from|to)\\s+"
                  "(program\\s+)?\\x27)'"),
    ),
    Hazard(
        "function-of-a-superuser", Severity.LOSES, "A function runs with the rights of a superuser",
        "on the target its owner {owner} is not a superuser: it can do less, or fails",
        "ALTER FUNCTION {object} OWNER TO ...; -- to a role that has just what it needs", RDS_SUPERUSER,
        _programs("p.prosecdef AND r.rolsuper"),
    ),
    Hazard(
        "language", Severity.BLOCKS, "A function is in a language that RDS does not have",
        "RDS has no language {language}: the restore of the definitions fails",
        "rewrite it (plpgsql, plperl, pltcl, plv8 are there), or DROP FUNCTION {object};",
        'RDS user guide, "Trusted language extensions", "Supported PostgreSQL extension versions"',
        _programs("p.prokind <> 'a' AND l.lanname NOT IN "
                  "('sql', 'plpgsql', 'plperl', 'pltcl', 'plv8', 'plcoffee', 'plls', 'plrust')"),
    ),
    Hazard(
        "needs-superuser", Severity.BLOCKS, "An object is of a kind that a superuser alone makes",
        "RDS has no superuser: the restore of {kind} {object} fails",
        "drop it, or replace it by what an extension of RDS has", 'PostgreSQL, "CREATE TYPE", "CREATE OPERATOR CLASS", '
        '"CREATE CAST", "CREATE FUNCTION" (LEAKPROOF), "CREATE ACCESS METHOD"',
        f"""SELECT quote_ident(n.nspname) || '.' || quote_ident(t.typname) AS object, 'the base type' AS kind
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE n.nspname = ANY (%(schemas)s) AND t.typtype = 'b' AND t.typcategory <> 'A'
          AND {not_of_an_extension("pg_type", "t.oid")}
        UNION ALL SELECT quote_ident(n.nspname) || '.' || quote_ident(o.opcname), 'the operator class'
        FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace
        WHERE n.nspname = ANY (%(schemas)s) AND {not_of_an_extension("pg_opclass", "o.oid")}
        UNION ALL SELECT quote_ident(n.nspname) || '.' || quote_ident(p.prsname), 'the text search parser'
        FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace
        WHERE n.nspname = ANY (%(schemas)s) AND {not_of_an_extension("pg_ts_parser", "p.oid")}
        UNION ALL SELECT quote_ident(n.nspname) || '.' || quote_ident(p.tmplname), 'the text search template'
        FROM pg_ts_template p JOIN pg_namespace n ON n.oid = p.tmplnamespace
        WHERE n.nspname = ANY (%(schemas)s) AND {not_of_an_extension("pg_ts_template", "p.oid")}
        UNION ALL SELECT p.oid::regprocedure::text, 'the leakproof function'
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = ANY (%(schemas)s) AND p.proleakproof AND {not_of_an_extension("pg_proc", "p.oid")}
        UNION ALL SELECT quote_ident(a.amname), 'the access method' FROM pg_am a
        WHERE a.oid >= 16384 AND {not_of_an_extension("pg_am", "a.oid")}
        UNION ALL SELECT quote_ident(w.fdwname), 'the foreign data wrapper' FROM pg_foreign_data_wrapper w
        WHERE {not_of_an_extension("pg_foreign_data_wrapper", "w.oid")}
        UNION ALL SELECT format_type(c.castsource, NULL) || ' AS ' || format_type(c.casttarget, NULL), 'the cast'
        FROM pg_cast c WHERE c.oid >= 16384 AND c.castmethod = 'b' AND {not_of_an_extension("pg_cast", "c.oid")}
        UNION ALL SELECT quote_ident(l.lanname), 'the language' FROM pg_language l
        WHERE l.oid >= 16384 AND {not_of_an_extension("pg_language", "l.oid")}""",
    ),
    Hazard(
        "cast", Severity.LOSES, "The database has a cast of its own",
        "it belongs to no schema, so the definitions of the schemas may be without it",
        "CREATE CAST ({object}) ...; -- on the target", 'PostgreSQL, "CREATE CAST"',
        f"""SELECT format_type(c.castsource, NULL) || ' AS ' || format_type(c.casttarget, NULL) AS object
        FROM pg_cast c WHERE c.oid >= 16384 AND c.castmethod <> 'b' AND {not_of_an_extension("pg_cast", "c.oid")}""",
    ),
    Hazard(
        "text-search-file", Severity.BLOCKS, "A text search dictionary reads files of the server",
        "RDS takes no such files: {options}", "use a dictionary that RDS has, such as a stemmer",
        'PostgreSQL, "Text Search Dictionaries"',
        r"""SELECT quote_ident(n.nspname) || '.' || quote_ident(d.dictname) AS object, d.dictinitoption AS options
        FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = d.dictnamespace
        WHERE n.nspname = ANY (%(schemas)s)
          AND d.dictinitoption ~* '(dictfile|afffile|synonyms|thesaurus|rules)\s*='""",
    ),
)  # fmt: skip

_DATABASE = (
    Hazard(
        "large-objects", Severity.LOSES, "The database has large objects",
        "DMS carries none of the {count} large objects", "move them into a bytea column: UPDATE ... SET body = "
        "lo_get(reference); or copy them by pg_dump --large-objects at the cut-over", SOURCE_LIMITS,
        """SELECT 'pg_largeobject' AS object, count(*) AS count FROM pg_largeobject_metadata HAVING count(*) > 0""",
    ),
    Hazard(
        "publication", Severity.LOSES, "The database has a publication",
        "its subscribers follow this server: after the cut-over they receive nothing",
        "CREATE PUBLICATION {object} ...; -- on the target, and a new subscription by each subscriber",
        'PostgreSQL, "Logical Replication"',
        "SELECT quote_ident(pubname) AS object FROM pg_publication WHERE pubname <> 'stackferry_changes'",
    ),
    Hazard(
        "subscription", Severity.LOSES, "The database subscribes to another one",
        "after the cut-over nothing feeds the target, and until then changes come from two sides",
        "CREATE SUBSCRIPTION {object} ...; -- on the target, at the cut-over", 'PostgreSQL, "Logical Replication"',
        """SELECT quote_ident(subname) AS object FROM pg_subscription
        WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())""",
    ),
    Hazard(
        "slot-of-others", Severity.NOTE, "Somebody else reads the changes of this database",
        "the slot {object} ({plugin}) is not carried: its reader needs a new one on the target, after the cut-over",
        "let its reader know", 'PostgreSQL, "Logical Decoding"',
        r"""SELECT quote_ident(slot_name) AS object, plugin FROM pg_replication_slots
        WHERE database = current_database() AND slot_name NOT LIKE 'stackferry\_%%'
          AND plugin NOT IN ('test_decoding', 'pglogical_output')""",
    ),
    Hazard(
        "slot-not-read", Severity.NOTE, "Nobody reads a replication slot",
        "the slot {object} keeps {kept} of log until somebody reads or drops it; a stopped task's slot is such a one",
        "SELECT pg_drop_replication_slot({name}); -- if it is not the task's", 'PostgreSQL, "Replication Slots"',
        r"""SELECT quote_ident(slot_name) AS object, quote_literal(slot_name) AS name, CASE WHEN pg_is_in_recovery()
            THEN 'some' ELSE pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) END AS kept
        FROM pg_replication_slots WHERE NOT active AND slot_name NOT LIKE 'stackferry\_%%'""",
    ),
    Hazard(
        "dependency-outside", Severity.BLOCKS, "A table or view uses an object of a schema that is not carried",
        "{other} is outside of the task's schemas: the restore of {object} fails, or its {what} does",
        "name the schema in SchemaName2 to SchemaName5, or move {other} into a schema that is carried",
        'PostgreSQL, "pg_dump", --schema',
        f"""WITH outside AS (
          SELECT 'pg_class'::regclass AS class, c.oid, c.oid::regclass::text AS name, c.relnamespace AS schema
          FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
            AND {not_of_an_extension("pg_class", "c.oid")}
          UNION ALL SELECT 'pg_proc'::regclass, p.oid, p.oid::regprocedure::text, p.pronamespace FROM pg_proc p
          WHERE {not_of_an_extension("pg_proc", "p.oid")}
        ), owners AS (
          SELECT 'pg_attrdef'::regclass AS class, oid, adrelid AS relation, 'default' AS what FROM pg_attrdef
          UNION ALL SELECT 'pg_rewrite'::regclass, oid, ev_class, 'query' FROM pg_rewrite
          UNION ALL SELECT 'pg_constraint'::regclass, oid, conrelid, 'check' FROM pg_constraint WHERE contype = 'c'
          UNION ALL SELECT 'pg_trigger'::regclass, oid, tgrelid, 'trigger' FROM pg_trigger WHERE NOT tgisinternal
          UNION ALL SELECT 'pg_class'::regclass, indexrelid, indrelid, 'index' FROM pg_index
        )
        SELECT DISTINCT quote_ident(n.nspname) || '.' || quote_ident(r.relname) AS object, x.name AS other, w.what
        FROM pg_depend d JOIN owners w ON w.class = d.classid AND w.oid = d.objid
        JOIN pg_class r ON r.oid = w.relation JOIN pg_namespace n ON n.oid = r.relnamespace
        JOIN outside x ON x.class = d.refclassid AND x.oid = d.refobjid JOIN pg_namespace m ON m.oid = x.schema
        WHERE n.nspname = ANY (%(schemas)s) AND NOT m.nspname = ANY (%(schemas)s) AND m.nspname !~ '^pg_'
          AND m.nspname NOT IN ('information_schema', 'stackferry')""",
    ),
    Hazard(
        "function-search-path", Severity.NOTE, "An index or CHECK calls a function that has no search_path",
        "definitions are restored with an empty search_path: names without a schema in {object} are not found then",
        "ALTER FUNCTION {object} SET search_path = {schema}, pg_temp;", 'PostgreSQL, "pg_dump", Notes',
        f"""SELECT DISTINCT p.oid::regprocedure::text AS object, quote_ident(n.nspname) AS schema
        FROM pg_depend d JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
        JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
        WHERE n.nspname = ANY (%(schemas)s) AND {not_of_an_extension("pg_proc", "p.oid")}
          AND l.lanname IN ('sql', 'plpgsql') AND NOT coalesce(p.proconfig::text, '') LIKE '%%search_path=%%'
          AND ((d.classid = 'pg_class'::regclass AND d.objid IN (SELECT indexrelid FROM pg_index))
            OR (d.classid = 'pg_constraint'::regclass AND d.objid IN (
              SELECT oid FROM pg_constraint WHERE contype = 'c')))""",
    ),
    Hazard(
        "schema-not-carried", Severity.NOTE, "A schema is not in the task",
        "tables that stay behind: {count}", "SchemaName1 to SchemaName5 name what is carried", "docs/migration.md",
        f"""SELECT quote_ident(n.nspname) AS object, count(*) AS count
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND NOT n.nspname = ANY (%(schemas)s)
          AND n.nspname NOT IN ('information_schema', 'stackferry', 'stackferry_state', 'awsdms_control')
          AND c.relname NOT LIKE 'awsdms\\_%%' AND {not_of_an_extension("pg_class", "c.oid")} GROUP BY n.nspname""",
    ),
    Hazard(
        "type-outside", Severity.BLOCKS, "A table uses a type of a schema that is not carried",
        "{type} is outside of the task's schemas: the restore of the table fails",
        "ALTER TYPE {type} SET SCHEMA {schema}; -- or name its schema in SchemaName2 to SchemaName5",
        'PostgreSQL, "pg_dump", --schema',
        f"""SELECT c.name AS object, c.type, quote_ident(c.nspname) AS schema
        FROM own_columns c JOIN pg_type y ON y.oid = c.atttypid
        JOIN pg_type e ON e.oid = CASE WHEN y.typcategory = 'A' AND y.typelem <> 0 THEN y.typelem ELSE y.oid END
        JOIN pg_namespace n ON n.oid = e.typnamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT n.nspname = ANY (%(schemas)s)
          AND {not_of_an_extension("pg_type", "e.oid")}""",
    ),
    Hazard(
        "setting-of-role", Severity.LOSES, "A role or the database has settings of its own",
        "the definitions are without them: {setting}", "{how}", 'PostgreSQL, "ALTER ROLE", "pg_dumpall"',
        f"""SELECT CASE WHEN r.oid IS NULL THEN 'database ' || quote_ident(current_database())
            ELSE 'role ' || quote_ident(r.rolname) END || ': ' || split_part(c, '=', 1) AS object, c AS setting,
          CASE WHEN r.oid IS NULL THEN 'ALTER DATABASE ' || quote_ident(current_database())
            ELSE 'ALTER ROLE ' || quote_ident(r.rolname)
              || CASE WHEN s.setdatabase <> 0 THEN ' IN DATABASE ' || quote_ident(current_database()) ELSE '' END END
          || ' SET ' || split_part(c, '=', 1) || ' = ' || CASE WHEN split_part(c, '=', 1) IN ('search_path',
            'session_preload_libraries', 'temp_tablespaces', 'DateStyle') THEN substr(c, strpos(c, '=') + 1)
            ELSE quote_literal(substr(c, strpos(c, '=') + 1)) END || '; -- on the target' AS how
        FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS c
        WHERE (s.setdatabase = 0 OR s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
          AND (r.oid IS NULL OR (NOT r.rolsuper AND r.rolname !~ '^pg_' AND (s.setdatabase <> 0 OR {USED_HERE})
            AND r.rolname NOT IN (current_user, %(dms_user)s, %(fallback_user)s)))
          AND c <> 'session_replication_role=replica'""",
    ),
    Hazard(
        "owner-superuser", Severity.BLOCKS, "A superuser owns what is carried",
        "the superuser {object} owns {what}: the cut-over closes a database and fences tables, and a fall-back sets "
        "sequences and alters domains, as a member of their owner's role; nobody should be a member of a superuser, "
        "and RDS has none",
        "{how}", RDS_SUPERUSER,
        f"""SELECT quote_ident(r.rolname) AS object, string_agg(o.what, ', ') AS what, string_agg(o.how, ' ') AS how
        FROM (
          SELECT datdba AS owner, 'the database' AS what,
            'ALTER DATABASE ' || quote_ident(datname) || ' OWNER TO ...;' AS how
          FROM pg_database WHERE datname = current_database()
          UNION ALL
          SELECT relowner, count(*) || ' tables', 'ALTER TABLE ' || min(name) || ' OWNER TO ...; -- and so on'
          FROM own_tables GROUP BY relowner
          UNION ALL
          SELECT c.relowner, count(*) || ' sequences',
            'ALTER SEQUENCE ' || min(c.oid::regclass::text) || ' OWNER TO ...; -- and so on'
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = ANY (%(schemas)s) AND c.relkind = 'S' AND c.relpersistence <> 't'
            AND {not_of_an_extension("pg_class", "c.oid")}
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
              AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
          GROUP BY c.relowner
          UNION ALL
          SELECT t.typowner, count(*) || ' domains',
            'ALTER DOMAIN ' || min(t.oid::regtype::text) || ' OWNER TO ...; -- and so on'
          FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
          WHERE n.nspname = ANY (%(schemas)s) AND t.typtype = 'd' AND {not_of_an_extension("pg_type", "t.oid")}
          GROUP BY t.typowner
        ) AS o JOIN pg_roles r ON r.oid = o.owner WHERE r.rolsuper GROUP BY r.rolname""",
    ),
    Hazard(
        "role-attribute", Severity.LOSES, "A role of the application has an attribute that RDS does not give",
        "{what}", "give it in RDS what it needs by GRANT: rds_replication, pg_monitor, ownership", RDS_SUPERUSER,
        """SELECT * FROM (
          SELECT quote_ident(r.rolname) AS object, concat_ws(', ', CASE WHEN r.rolreplication THEN 'REPLICATION' END,
            CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
            (SELECT 'member of ' || string_agg(m.rolname, ', ' ORDER BY m.rolname) FROM pg_auth_members x
             JOIN pg_roles m ON m.oid = x.roleid WHERE x.member = r.oid AND m.rolname IN ('pg_read_server_files',
               'pg_write_server_files', 'pg_execute_server_program'))) AS what
          FROM pg_roles r
          WHERE NOT r.rolsuper AND r.rolname <> current_user AND r.oid IN (SELECT relowner FROM own_tables)
        ) AS o WHERE what <> ''""",
    ),
    Hazard(
        "role-name", Severity.BLOCKS, "A role has a name that RDS keeps for itself",
        "RDS refuses or already has the role {object}", "ALTER ROLE {object} RENAME TO ...;",
        'RDS user guide, "Understanding PostgreSQL roles and permissions"',
        """SELECT quote_ident(r.rolname) AS object FROM pg_roles r
        WHERE (r.rolname ~ '^rds' OR r.rolname = 'admin') AND (r.oid IN (SELECT relowner FROM own_tables)
          OR EXISTS (SELECT FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid
            AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())))""",
    ),
    Hazard(
        "default-privileges", Severity.NOTE, "A role gives rights on what it will make in any schema",
        "the definitions of the schemas are without them: {rights}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {object} ...; -- on the target", 'PostgreSQL, "ALTER DEFAULT PRIVILEGES"',
        """SELECT quote_ident(r.rolname) AS object, string_agg(d.defaclacl::text, ', ') AS rights
        FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole
        WHERE d.defaclnamespace = 0 GROUP BY r.rolname""",
    ),
    Hazard(
        "security-label", Severity.LOSES, "An object has a security label",
        "the label of {provider} needs its provider, which RDS does not have", "SECURITY LABEL ... IS NULL;",
        'PostgreSQL, "SECURITY LABEL"',
        """SELECT coalesce(l.objname, l.objtype) AS object, l.provider FROM pg_seclabels l
        WHERE l.objtype NOT IN ('role', 'database', 'tablespace')""",
    ),
)  # fmt: skip

HAZARDS: Sequence[Hazard] = (*_SEQUENCES, *_REACTIONS, *_CODE, *_DATABASE)
