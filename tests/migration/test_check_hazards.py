"""Every hazard of a schema is named, and nothing harmless is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builders.cloud.rds.on_premises import REPLICATION_USER, SUPERUSER
from builders.errors import MigrationError
from builders.migration import rights
from builders.migration.check.hazards import HazardFinding, Severity
from builders.migration.check.report import CheckOptions, CheckReport, check
from builders.migration.check.table_rules import excluded

from .conftest import Pair

SCHEMA = Path(__file__).with_name("hazards.sql")
OF_EVERY_TABLE_IN_THE_FILE = {"owner-superuser:postgres"}
"""The file is run by a superuser, so all is his."""

EXPECTED = """
dependency-outside:odd.leans_outside
dependency-outside:odd.looks_outside
document:odd.documents.deed
document:odd.documents.raw
foreign-key-actions:odd.child_of_codes.of_code
function-search-path:odd.city_is_there(integer)
function-search-path:odd.doubled(integer)
infinite-time:odd.numbers.late
odd-number:odd.numbers.measure
cast:integer AS odd.mood
char-unbounded:odd.types.open
check-function:odd.visits.city_is_there
collation-nondeterministic:odd.collations.a
collation-of-the-system:odd.collations.b
column-case:odd.same."Column"
column-case:odd.same."column"
constraint-not-valid:odd.odd_indexes.not_valid
ddl-in-function:odd.makes_partitions()
deferrable-key:odd.deferrable_key
deferrable-unique:odd.deferrable_key.deferrable_key_place_key
domain-not-null:odd.large.story
event-trigger:seen
exclusion:odd.odd_indexes.odd_indexes_a_b_excl
extension-preloaded:pg_stat_statements
extension-table:odd.of_an_extension
extension:file_fdw
extension:xml2
foreign-key-actions:odd.child_of_keys.cascades
foreign-key-actions:odd.child_of_keys.late
foreign-key-outside:odd.refers_outside.far
foreign-keys:schema odd
foreign-server:files
foreign-table:odd.far_file
function-of-a-superuser:odd.as_superuser()
function-of-the-host:odd.reads_host()
generated-column:odd.counters.twice
identity-always:odd.counters.id
inexact-key:odd.inexact_key.id
infinite-time:odd.forever.until
inheritance-parent-rows:odd.city
inheritance-parent:odd.city
interval:odd.types.pause
key-changes:odd.child_of_keys.cascades
language:odd.in_c(integer,integer)
large-check:odd.large.titled
large-key:odd.scheduled_tasks.task_instance
large-key:odd.scheduled_tasks.task_name
large-not-null:odd.event_auth.auth_id
large-not-null:odd.event_auth.event_id
large-not-null:odd.large.body
large-object-function:odd.keeps_file()
large-objects:pg_largeobject
large-values:odd.large
largest-value:odd.large.body
materialized-view:odd.counted
money:odd.types.price
name-case:odd."Same"
name-case:odd.same
name-characters:odd."50% \\ ""odd\"""
name-of-dms:odd.awsdms_of_ours
needs-superuser:bytea AS json
needs-superuser:odd.leakproof()
needs-superuser:odd.of_ours
no-columns:odd.empty
no-key-array:odd.no_key_array
no-key-large:odd.event_auth
no-key-large:odd.no_key_array
no-key:odd.empty
no-key:odd.event_auth
no-key:odd.no_key
no-key:odd.no_key_array
no-key:odd.no_key_at_all
numeric-precision:odd.types.below
numeric-precision:odd.types.much
numeric-unbounded:odd.types.free
oid-column:odd.types.reference
partition-changes:odd.event
partitioned-parent:odd.event
publication:everything
replica-identity-full:odd.identity_full
replica-identity-index:odd.identity_index
replica-identity-nothing:odd.identity_nothing
row-security-forced:odd.forced_tenants
row-security:odd.forced_tenants
row-security:odd.tenants
rule:odd.ruled
schema-not-carried:other
sequence-near-end:odd.falling
sequence-near-end:odd.filling
sequence-near-end:odd.nearly_full_id_seq
sequences:schema odd
subscription:of_another
text-search-file:odd.of_files
time-with-zone:odd.types.clock
trigger-of-replicas:odd.always_audited.always
trigger:odd.always_audited
trigger:odd.audited
truncate-in-function:odd.cleans()
truncate-in-function:odd.cleans_by_name(text)
type-array-of:odd.types.moods
type-lost:odd.mood_key.mood
type-lost:odd.types.address
type-lost:odd.types.ip
type-lost:odd.types.mac
type-lost:odd.types.mood
type-lost:odd.types.of_system
type-lost:odd.types.path
type-lost:odd.types.span
type-lost:odd.types.spans
type-lost:odd.types.words
type-lost:odd.uses_stray.stray
type-of-the-system:odd.types.kind
type-of-the-system:odd.types.name
type-outside:odd.uses_stray.stray
type-unknown:odd.types.tree
unique-index-coalesce:odd.odd_indexes.with_coalesce
unique-nulls-large:odd.odd_indexes.nulls_once
unlogged:odd.scratch
varchar-unbounded:odd.types.text
"""
OF_THE_SERVER = ("two-phase", "sessions-not-seen", "right", "setting-of-role", "slot-of-others",
                 "slot-not-read", "long-transaction")  # fmt: skip
"""Other tests share the server, and have their own tests below."""


@pytest.fixture(scope="module")
def both(pair: Callable[..., Pair]) -> Iterator[Pair]:
    made = pair()
    with made.application("source", SUPERUSER) as session:
        session.execute(SCHEMA.read_bytes())
    with made.database("source", SUPERUSER) as database:
        lacking = list(rights.missing(database.run, REPLICATION_USER, rights.SOURCE_READER, ["odd"]))
    made.administer("source", *(each.statement for each in lacking if not each.right.is_optional))
    yield made
    # Subscriptions of a database that is never dropped would keep workers trying for ever.
    made.administer("source", "ALTER SUBSCRIPTION of_another SET (slot_name = NONE)", "DROP SUBSCRIPTION of_another")


def options(**own: object) -> CheckOptions:
    return CheckOptions(schemas=["odd"], target_major=17, watch_seconds=0.01, **own)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def report(both: Pair) -> CheckReport:
    with both.database("source") as source:
        return check(source, None, options())


def named(report: CheckReport) -> dict[str, HazardFinding]:
    return {each.name: each for each in report.findings if each.id not in OF_THE_SERVER}


def test_every_hazard_of_the_schema_is_named_and_nothing_else(report: CheckReport) -> None:
    expected = {line for line in EXPECTED.splitlines() if line} | OF_EVERY_TABLE_IN_THE_FILE
    assert sorted(named(report)) == sorted(expected)


def test_what_schema_takes_off_is_nobody_elses_to_do(report: CheckReport) -> None:
    found = named(report)
    names = "large-check:odd.large.titled", "domain-not-null:odd.large.story", "large-not-null:odd.large.body"
    assert {found[name].severity for name in names} == {Severity.STEP}


def test_a_domain_of_a_schema_that_is_not_carried_stays_somebodys_to_do(both: Pair) -> None:
    both.administer("source", "CREATE DOMAIN public.tale AS text NOT NULL",
                    "CREATE TABLE odd.tales (id int PRIMARY KEY, tale public.tale)",
                    "GRANT SELECT ON odd.tales TO ferry_source")  # fmt: skip
    try:
        with both.database("source") as source:
            found = named(check(source, None, options()))["domain-not-null:odd.tales.tale"]
    finally:
        both.administer("source", "DROP TABLE odd.tales", "DROP DOMAIN public.tale")
    assert found.severity is Severity.BLOCKS
    assert found.remedy.startswith("ALTER DOMAIN public.tale DROP NOT NULL;")


def test_every_finding_says_what_happens_and_what_to_do(report: CheckReport) -> None:
    assert [each.name for each in report.findings if not each.happens or not each.remedy] == []


def test_what_a_rule_leaves_out_is_no_hazard_any_more(both: Pair, report: CheckReport) -> None:
    found = named(report)
    rules = [found[name].remedy.removeprefix("TableRules: ") for name in
             ("partitioned-parent:odd.event", "generated-column:odd.counters.twice")]  # fmt: skip
    with both.database("source") as source:
        left = named(check(source, None, options(excluded=excluded(json.loads(rule) for rule in rules))))
    gone = {"partitioned-parent:odd.event", "generated-column:odd.counters.twice"}
    assert found.keys() - left.keys() == gone
    assert left.keys() - found.keys() == set()


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [("identity[_]%", {"identity_nothing", "identity_index", "identity_full"}), ("ten_nts", {"tenants"}),
     ("no[_]ke_", {"no_key"}), ("[st]enants", {"tenants"})],
)  # fmt: skip
def test_wildcards_of_a_rule_leave_out_what_dms_leaves_out(both: Pair, pattern: str, left_out: set[str]) -> None:
    locator = {"schema-name": "odd", "table-name": pattern}
    rule = {"rule-type": "selection", "rule-action": "exclude", "object-locator": locator}
    with both.database("source") as source:
        seen = check(source, None, options(excluded=excluded([rule])))
    of_the_schema = {each.object.removeprefix("odd.") for each in seen.findings if each.id == "excluded-table"}
    assert of_the_schema == left_out


def test_a_sequence_that_is_nearly_at_the_end_of_its_column_names_the_column(report: CheckReport) -> None:
    found = named(report)["sequence-near-end:odd.nearly_full_id_seq"]
    assert found.severity is Severity.BLOCKS
    assert "ALTER TABLE odd.nearly_full ALTER COLUMN id TYPE bigint" in found.remedy


def test_a_unique_index_that_is_good_for_a_key_is_the_remedy(report: CheckReport) -> None:
    assert "ADD PRIMARY KEY USING INDEX no_key_but_unique" in named(report)["no-key:odd.no_key"].remedy


def test_a_lost_type_in_a_key_blocks(report: CheckReport) -> None:
    found = named(report)
    assert found["type-lost:odd.mood_key.mood"].severity is Severity.BLOCKS
    assert found["type-lost:odd.types.mood"].severity is Severity.LOSES


def test_rows_that_a_policy_hides_from_dms_are_lost_and_others_a_step(both: Pair) -> None:
    both.administer("source", f"CREATE SCHEMA seen; GRANT USAGE ON SCHEMA seen TO {REPLICATION_USER}",
                    "CREATE TABLE seen.rows (id int PRIMARY KEY); ALTER TABLE seen.rows ENABLE ROW LEVEL SECURITY",
                    "ALTER TABLE seen.rows OWNER TO app")  # fmt: skip
    with both.database("source") as source:
        seen = check(source, None, CheckOptions(schemas=["seen"], watch_seconds=0.01))
    (found,) = [each for each in seen.findings if each.id == "row-security"]
    assert found.severity is Severity.STEP, "a member of the owner's role sees all rows"


def test_small_tables_are_read_without_being_asked_for(pair: Callable[..., Pair]) -> None:
    made = pair("CREATE SCHEMA small", "CREATE TABLE small.t (id int PRIMARY KEY, n numeric, body text NOT NULL)",
                "INSERT INTO small.t VALUES (1, 1.25, repeat('x', 3000))")  # fmt: skip
    with made.database("source") as source:
        report = check(source, None, CheckOptions(schemas=["small"], watch_seconds=0.01))
        found = {each.name: each for each in report.findings}
        assert found["numeric-unbounded:small.t.n"].severity is Severity.NOTE
        assert "the largest value has 2.9 KiB" in found["large-not-null:small.t.body"].happens


def test_a_table_that_is_locked_names_who_holds_it(pair: Callable[..., Pair]) -> None:
    made = pair("CREATE SCHEMA held", "CREATE TABLE held.t (id int PRIMARY KEY, body text)")
    with made.application() as application, application.transaction(), made.database("source") as source:
        application.execute("LOCK TABLE held.t")
        source.run("SET lock_timeout = '50ms'")
        with pytest.raises(MigrationError, match=f"pid {application.info.backend_pid} of app"):
            check(source, None, CheckOptions(schemas=["held"], watch_seconds=0.01))


def test_measuring_tells_the_largest_values_and_the_digits(both: Pair) -> None:
    both.administer("source", "INSERT INTO odd.types (id, free) VALUES (1, 1.5), (2, 'NaN')")
    with both.database("source") as source:
        found = named(check(source, None, options(measure=True)))
        both.administer("source", "DELETE FROM odd.types WHERE id = 2")
        without = named(check(source, None, options(measure=True)))
    assert "48.8 KiB" in found["largest-value:odd.large.body"].happens
    assert '"bulk-max-size":"147"' in found["largest-value:odd.large.body"].remedy
    assert found["infinite-time:odd.forever.until"].severity is Severity.LOSES
    assert "NaN" in found["numeric-unbounded:odd.types.free"].happens
    assert without["numeric-unbounded:odd.types.free"].severity is Severity.NOTE


CASES = {
    "large values that are NOT NULL": (
        "CREATE TABLE t (id bigint PRIMARY KEY, email text NOT NULL, note jsonb NOT NULL DEFAULT '{}')",
        {"large-not-null:cases.t.email", "large-not-null:cases.t.note"},
    ),
    "a trigger whose rows are replicated, too": (
        """CREATE TABLE t (id int PRIMARY KEY, amount numeric(14, 2) NOT NULL);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
        CREATE TRIGGER log AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()""",
        {"trigger:cases.t"},
    ),
    "texts without a key": (
        "CREATE TABLE t (event_id text NOT NULL, auth_id text NOT NULL)",
        {"no-key:cases.t", "no-key-large:cases.t", "large-not-null:cases.t.event_id", "large-not-null:cases.t.auth_id"},
    ),
    "a key of texts": (
        "CREATE TABLE t (a text, b text, PRIMARY KEY (a, b))", {"large-key:cases.t.a", "large-key:cases.t.b"},
    ),
    "values that the table makes": (
        """CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int,
          twice int GENERATED ALWAYS AS (n * 2) STORED)""",
        {"identity-always:cases.t.id", "generated-column:cases.t.twice", "sequences:schema cases"},
    ),
    "rows that a policy hides": (
        "CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t ENABLE ROW LEVEL SECURITY", {"row-security:cases.t"},
    ),
    "rows without a log": ("CREATE UNLOGGED TABLE t (id int PRIMARY KEY)", {"unlogged:cases.t"}),
}  # fmt: skip
"""Trouble that users of DMS and of other tools have reported, each alone in a schema."""


@pytest.mark.parametrize("case", CASES)
def test_what_others_met_is_named_and_nothing_else(both: Pair, case: str) -> None:
    statements, expected = CASES[case]
    both.administer(
        "source", f"CREATE SCHEMA cases AUTHORIZATION app; SET ROLE app; SET search_path TO cases; {statements}"
    )
    try:
        with both.database("source") as source:
            seen = check(source, None, CheckOptions(schemas=["cases"], watch_seconds=0.01))
    finally:
        both.administer("source", "DROP SCHEMA cases CASCADE")
    of_the_schema = {each.name for each in seen.findings if each.object.startswith(("cases.", "schema cases"))}
    assert of_the_schema == expected


def test_a_sequence_and_a_domain_of_a_superuser_are_named_before_a_fallback_cannot_set_them(both: Pair) -> None:
    both.administer("source", "CREATE SCHEMA cases AUTHORIZATION app", "CREATE SEQUENCE cases.numbers",
                    "CREATE DOMAIN cases.words AS text NOT NULL")  # fmt: skip
    try:
        with both.database("source") as source:
            seen = check(source, None, CheckOptions(schemas=["cases"], watch_seconds=0.01))
    finally:
        both.administer("source", "DROP SCHEMA cases CASCADE")
    (found,) = [each for each in seen.findings if each.id == "owner-superuser"]
    assert "1 sequences, 1 domains" in found.happens
    assert "ALTER SEQUENCE cases.numbers OWNER TO" in found.remedy
