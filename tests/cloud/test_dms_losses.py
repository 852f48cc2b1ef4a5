"""Data that DMS loses in silence is lost here, too: one task carries it all, and each test looks at one table of it."""

from __future__ import annotations

import pytest

from .dms_rig import Pair, Task, rule, settings, wait_for

BOTH = """
CREATE TABLE payments.keyless (id int, amount numeric(6,2), note text);
CREATE TABLE payments.numbers (id int PRIMARY KEY, free numeric, fixed numeric(20, 9));
CREATE TABLE payments.long (id int PRIMARY KEY, note varchar);
CREATE TABLE payments.emptied (id int PRIMARY KEY);
CREATE TABLE payments.renumbered (id int PRIMARY KEY, n int);
CREATE TABLE payments.counted (id serial PRIMARY KEY, n int);
CREATE TABLE payments.altered (id int PRIMARY KEY);
CREATE TYPE payments.mood AS ENUM ('well', 'ill');
CREATE TABLE payments.kinds (id int PRIMARY KEY, mood payments.mood, span int4range, address inet, words tsvector,
                             network cidr, code uuid, file oid);
CREATE TABLE payments.ends (id int PRIMARY KEY, at timestamptz);
CREATE TABLE payments.parts (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE payments.parts_eu PARTITION OF payments.parts FOR VALUES IN ('eu');
CREATE TABLE payments.dropped_column (id int PRIMARY KEY, twice int, n int);
"""
SOURCE = """
CREATE UNLOGGED TABLE payments.scratch (id int PRIMARY KEY);
INSERT INTO payments.keyless VALUES (1, 1.5, 'lost'), (2, 2.5, NULL);
INSERT INTO payments.numbers VALUES (1, 0.611111104488373, 0.611111104);
INSERT INTO payments.long VALUES (1, repeat('x', 8100));
INSERT INTO payments.emptied VALUES (1);
INSERT INTO payments.renumbered VALUES (1, 1), (2, 2);
INSERT INTO payments.counted (n) SELECT generate_series(1, 5);
INSERT INTO payments.altered VALUES (1);
INSERT INTO payments.kinds VALUES (1, 'well', '[1,5)', '10.0.0.1', 'a b', '10.0.0.0/8',
                                   'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 7);
INSERT INTO payments.ends VALUES (1, 'infinity'), (2, '-infinity');
INSERT INTO payments.parts VALUES (1, 'eu');
INSERT INTO payments.scratch VALUES (1);
INSERT INTO payments.dropped_column VALUES (1, 2, 1);
"""
CHANGES = """
INSERT INTO payments.keyless VALUES (3, 3.5, 'lost');
UPDATE payments.keyless SET amount = 9 WHERE id = 1;
DELETE FROM payments.keyless WHERE id = 2;
INSERT INTO payments.numbers VALUES (2, 0.611111104488373, 0.611111104), (3, 'NaN', 1), (4, 12345678901234567890, 2);
INSERT INTO payments.long VALUES (2, repeat('y', 8100));
TRUNCATE payments.emptied;
UPDATE payments.renumbered SET id = 3, n = 3 WHERE id = 1;
UPDATE payments.renumbered SET n = 22 WHERE id = 2;
INSERT INTO payments.counted (n) VALUES (6);
ALTER TABLE payments.altered ADD COLUMN more int DEFAULT 5;
INSERT INTO payments.altered VALUES (2, 7);
INSERT INTO payments.kinds VALUES (2, 'ill', '[2,5)', '10.0.0.2', 'c d', '11.0.0.0/8', NULL, 8);
INSERT INTO payments.ends VALUES (3, 'infinity');
INSERT INTO payments.parts VALUES (2, 'eu');
INSERT INTO payments.scratch VALUES (2);
INSERT INTO payments.dropped_column VALUES (2, 4, 2);
INSERT INTO payments.emptied VALUES (99);
"""
WITHOUT = {
    "rule-type": "transformation", "rule-id": "9", "rule-name": "9", "rule-target": "column",
    "object-locator": {"schema-name": "payments", "table-name": "dropped[_]column", "column-name": "twice"},
    "rule-action": "remove-column",
}  # fmt: skip


@pytest.fixture(scope="module")
def task(lasting: Pair) -> Task:
    """A task that passes over what it cannot carry, after all of it."""
    lasting.both(BOTH)
    lasting.target("CREATE TABLE payments.scratch (id int PRIMARY KEY)", "GRANT ALL ON payments.scratch TO ferry_dms")
    lasting.source(SOURCE)
    mappings = [rule(), rule(table="parts", action="exclude", number=2), WITHOUT]
    made = lasting.task(mappings, chosen=settings(ErrorBehavior={"ApplyErrorUpdatePolicy": "LOG_ERROR"})).load()
    for change in CHANGES.strip().split(";\n"):
        lasting.source(change)
    wait_for(lambda: made.failure() or lasting.rows("target", "SELECT 1 FROM payments.emptied WHERE id = 99"))
    assert made.failure() == ""
    return made


def test_of_a_table_without_a_key_rows_are_added_but_not_changed(lasting: Pair, task: Task) -> None:
    rows = lasting.rows("target", "SELECT id, amount::text FROM payments.keyless ORDER BY id")
    assert rows == [(1, "1.50"), (2, "2.50"), (3, "3.50")]


def test_large_values_of_a_table_without_a_key_are_left_out_with_a_warning(lasting: Pair, task: Task) -> None:
    assert lasting.rows("target", "SELECT DISTINCT note FROM payments.keyless") == [(None,)]
    warning = "Column 'note' of table 'payments.keyless' is not migrated: a large value in a table without a primary"
    assert f"W:  {warning}" in task.log()


def test_a_numeric_without_a_precision_is_rounded_to_six_places(lasting: Pair, task: Task) -> None:
    rows = lasting.rows("target", "SELECT id, free::text, fixed::text FROM payments.numbers ORDER BY id")
    assert rows == [
        (1, "0.611111", "0.611111104"),
        (2, "0.611111", "0.611111104"),
        (3, "NaN", "1.000000000"),
        (4, "12345678901234567890.000000", "2.000000000"),
    ]


def test_a_varchar_without_a_length_is_cut_off_at_eight_thousand_bytes(lasting: Pair, task: Task) -> None:
    rows = lasting.rows("target", "SELECT id, length(note) FROM payments.long ORDER BY id")
    assert rows == [(1, 8000), (2, 8000)]


def test_a_truncate_is_not_carried(lasting: Pair, task: Task) -> None:
    assert lasting.rows("target", "SELECT id FROM payments.emptied ORDER BY id") == [(1,), (99,)]
    assert "TRUNCATE is not replicated from a PostgreSQL source" in task.log()


def test_the_change_of_a_key_is_not_carried(lasting: Pair, task: Task) -> None:
    assert lasting.rows("target", "SELECT id, n FROM payments.renumbered ORDER BY id") == [(1, 1), (2, 22)]
    exceptions = "SELECT count(*) FROM awsdms_control.awsdms_apply_exceptions WHERE \"TABLE_NAME\" = 'renumbered'"
    assert lasting.rows("target", exceptions) == [(0,)]


def test_a_sequence_stays_where_it_was(lasting: Pair, task: Task) -> None:
    assert lasting.rows("target", "SELECT max(id) FROM payments.counted") == [(6,)]
    assert lasting.rows("target", "SELECT is_called FROM payments.counted_id_seq") == [(False,)]


def test_a_new_column_of_the_source_is_not_made(lasting: Pair, task: Task) -> None:
    columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'altered'"
    assert lasting.rows("target", columns) == [(1,)]
    assert lasting.rows("target", "SELECT count(*) FROM payments.altered") == [(2,)]


def test_types_that_do_not_migrate_are_left_out(lasting: Pair, task: Task) -> None:
    rows = lasting.rows(
        "target",
        "SELECT id, mood::text, span::text, address::text, words::text, file, network::text, code IS NULL "
        "FROM payments.kinds ORDER BY id",
    )
    assert rows == [
        (1, None, None, None, None, None, "10.0.0.0/8", False),
        (2, None, None, None, None, None, "11.0.0.0/8", True),
    ]
    assert "Column 'mood' of table 'payments.kinds' is not migrated" in task.log()


def test_times_without_an_end_become_the_last_that_dms_knows(lasting: Pair, task: Task) -> None:
    rows = lasting.rows("target", "SELECT id, (at AT TIME ZONE 'UTC')::text FROM payments.ends ORDER BY id")
    assert rows == [(1, "9999-12-31 23:59:59"), (2, "4713-01-01 00:00:00 BC"), (3, "9999-12-31 23:59:59")]


def test_partitions_are_carried_by_their_children(lasting: Pair, task: Task) -> None:
    assert lasting.rows("target", "SELECT id FROM payments.parts ORDER BY id") == [(1,), (2,)]


def test_an_unlogged_table_is_loaded_and_its_changes_are_lost(lasting: Pair, task: Task) -> None:
    assert lasting.rows("target", "SELECT id FROM payments.scratch") == [(1,)]


def test_a_column_that_a_mapping_removes_is_left_out(lasting: Pair, task: Task) -> None:
    rows = lasting.rows("target", "SELECT id, twice, n FROM payments.dropped_column ORDER BY id")
    assert rows == [(1, None, 1), (2, None, 2)]


def test_with_the_endpoints_attributes_numbers_and_texts_come_whole(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY, free numeric, note varchar)")
    row = "INSERT INTO payments.t SELECT n, 0.611111104488373, repeat('x', 9000) FROM generate_series({0}, {0}) n"
    pair.source(row.format(1))
    attributes = {"ExtraConnectionAttributes": "MapUnboundedNumericAsString=true;unboundedVarcharMaxSize=10485760"}
    pair.task(source=attributes, target=attributes).load()
    pair.source(row.format(2))
    wait_for(lambda: pair.same("payments.t"))


def test_a_partitioned_table_and_its_children_together_bring_rows_twice(pair: Pair) -> None:
    pair.both(
        "CREATE TABLE payments.parts (id int) PARTITION BY LIST (id)",
        "CREATE TABLE payments.parts_1 PARTITION OF payments.parts FOR VALUES IN (1)",
    )
    pair.source("INSERT INTO payments.parts VALUES (1)")
    pair.task().load()
    assert pair.rows("target", "SELECT id FROM payments.parts") == [(1,), (1,)]


def test_a_user_whom_policies_of_rows_bind_reads_a_part_of_the_rows(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.tenants (id int PRIMARY KEY)")
    pair.source(
        "INSERT INTO payments.tenants VALUES (1), (2)",
        "ALTER TABLE payments.tenants ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY one ON payments.tenants USING (id = 1)",
    )
    pair.task().load()
    assert pair.rows("target", "SELECT id FROM payments.tenants") == [(1,)]
