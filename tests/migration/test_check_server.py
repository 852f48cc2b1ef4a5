"""Settings, transactions, versions, sizes and extensions: what the servers say of themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from builders.cloud.rds.on_premises import APPLICATION, REPLICATION_USER
from builders.migration.check import extensions, report as reports, server, sizes
from builders.migration.check.hazards import HazardFinding, Severity
from builders.migration.check.report import CheckOptions, CheckReport, check

from .conftest import Pair

USER = "ferry_checked"


@pytest.fixture(scope="module")
def both(pair: Callable[..., Pair]) -> Iterator[Pair]:
    """A database whose user has every right."""
    made = pair("CREATE SCHEMA payments", "CREATE TABLE payments.ledger (id int PRIMARY KEY)")
    made.administer(
        "source",
        f"GRANT CREATE ON DATABASE {made.name} TO {REPLICATION_USER}",
        f"GRANT pg_read_all_stats TO {REPLICATION_USER}",
        f"GRANT SELECT ON pg_authid TO {REPLICATION_USER}",
    )
    yield made
    made.administer("source", f"REVOKE pg_read_all_stats FROM {REPLICATION_USER}")


def checked(both: Pair, *, target: bool = False, **own: Any) -> CheckReport:
    options = CheckOptions(schemas=["payments"], watch_seconds=0.01, **own)
    with both.database("source") as source:
        if not target:
            return check(source, None, options)
        with both.database("target") as other:
            return check(source, other, options)


def found(report: CheckReport, kind: str) -> list[HazardFinding]:
    return [each for each in report.findings if each.id == kind]


def test_a_database_in_order_leaves_nothing_to_decide(both: Pair) -> None:
    assert [each.name for each in checked(both).open] == []


def test_a_check_changes_nothing_and_its_session_cannot(both: Pair) -> None:
    with both.database("source") as source:
        before = source.value("SELECT pg_current_xact_id_if_assigned()")
        check(source, None, CheckOptions(schemas=["payments"], watch_seconds=0.01))
        assert source.value("SHOW transaction_read_only") == "on"
        assert source.value("SELECT pg_current_xact_id_if_assigned()") == before


def test_too_few_slots_are_named_with_the_number_that_is_enough(both: Pair) -> None:
    assert found(checked(both), "slots") == []
    fill = (
        "SELECT pg_create_logical_replication_slot('of_check_' || n, 'test_decoding') "
        "FROM generate_series(1, 39 - (SELECT count(*) FROM pg_replication_slots)) AS n"
    )
    both.administer("source", fill)
    try:
        (lacking,) = found(checked(both), "slots")
        assert found(checked(both, task_has_slot=True), "slots") == []
    finally:
        both.administer("source", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                                  "WHERE slot_name LIKE 'of_check_%'")  # fmt: skip
    assert "39 of 40 are in use, and the migration needs 2 more" in lacking.happens
    assert "max_replication_slots = 41" in lacking.remedy


def test_a_timeout_of_the_users_sessions_is_named_with_the_statement_against_it(both: Pair) -> None:
    both.administer("source", f"ALTER ROLE {REPLICATION_USER} IN DATABASE {both.name} "
                              "SET idle_in_transaction_session_timeout = '5min'")  # fmt: skip
    try:
        (timeout,) = found(checked(both), "session-timeout")
    finally:
        both.administer("source", f"ALTER ROLE {REPLICATION_USER} IN DATABASE {both.name} RESET ALL")
    assert timeout.remedy == f"ALTER ROLE {REPLICATION_USER} SET idle_in_transaction_session_timeout = 0;"


def test_the_user_of_dms_and_our_own_are_judged_each_by_what_they_need(both: Pair) -> None:
    both.administer("source", f"CREATE ROLE {USER} LOGIN", f"ALTER ROLE {USER} SET statement_timeout = '30s'")
    try:
        report = checked(both, dms_user=USER)
    finally:
        both.administer("source", f"DROP ROLE {USER}")
    lacking = {each.object.rpartition(":")[0] for each in found(report, "right")}
    assert lacking == {f"{USER}:{right}" for right in ("replication", "usage", "select-tables", "heartbeat")}
    assert [each.remedy for each in found(report, "session-timeout")] == [
        f"ALTER ROLE {USER} SET statement_timeout = 0;"
    ]


def test_a_prepared_transaction_is_named(both: Pair) -> None:
    with both.application() as application:
        if application.execute("SHOW max_prepared_transactions").fetchone() == ("0",):
            pytest.skip("the server takes no prepared transactions")
        application.execute("BEGIN; INSERT INTO payments.ledger VALUES (1); PREPARE TRANSACTION 'waits'")
        try:
            (prepared,) = found(checked(both), "prepared-transaction")
        finally:
            application.execute("ROLLBACK PREPARED 'waits'")
    assert prepared.remedy.startswith("COMMIT PREPARED 'waits'")


def test_a_transaction_that_has_been_open_for_long_is_named(both: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = [dataclasses.replace(each, query=each.query.replace("'10 minutes'", "'0'"))
               for each in server.SOURCE if each.id == "long-transaction"]  # fmt: skip
    monkeypatch.setattr(reports, "OF_SOURCE", [at_once])
    with both.application() as application, application.transaction():
        application.execute("SELECT count(*) FROM payments.ledger")
        pids = {each.object for each in found(checked(both), "long-transaction")}
        assert f"pid {application.info.backend_pid}" in pids


def test_settings_of_roles_that_are_not_of_this_database_are_not_its_own(both: Pair) -> None:
    both.administer("source", f"CREATE ROLE {USER} LOGIN", f"ALTER ROLE {USER} SET search_path = elsewhere")
    try:
        elsewhere = found(checked(both), "setting-of-role")
        both.administer("source", f"GRANT SELECT ON payments.ledger TO {USER}")
        here = found(checked(both), "setting-of-role")
    finally:
        both.administer("source", f"DROP OWNED BY {USER}", f"DROP ROLE {USER}")
    assert elsewhere == []
    assert [each.object for each in here] == [f"role {USER}: search_path"]


def test_a_password_that_rds_does_not_take_is_named(both: Pair) -> None:
    both.administer("source", "SET password_encryption = 'md5'", f"CREATE ROLE {USER} LOGIN PASSWORD 'x'",
                    f"GRANT SELECT ON payments.ledger TO {USER}")  # fmt: skip
    try:
        md5 = [each.object for each in found(checked(both), "md5-password")]
    finally:
        both.administer("source", f"DROP OWNED BY {USER}", f"DROP ROLE {USER}")
    assert md5 == [USER]


def test_settings_of_a_role_are_named_as_the_statement_for_the_target(both: Pair) -> None:
    both.administer("source", f"ALTER ROLE {APPLICATION} IN DATABASE {both.name} SET search_path = payments, public")
    (setting,) = found(checked(both), "setting-of-role")
    assert setting.object == "role app: search_path"
    assert setting.remedy.startswith(
        f"ALTER ROLE {APPLICATION} IN DATABASE {both.name} SET search_path = payments, public;"
    )
    both.administer("source", f"ALTER ROLE {APPLICATION} IN DATABASE {both.name} RESET ALL")


@pytest.mark.parametrize(
    ("dms", "needed"), [("3.5.0", True), ("3.5.1", False), ("3.6.1", False), ("", False)]
)  # fmt: skip
def test_a_replication_instance_that_is_too_old_for_the_source_blocks(both: Pair, dms: str, needed: bool) -> None:
    with both.database("source") as source:
        if source.version // 10000 != 15:
            pytest.skip("the source is no PostgreSQL 15")
        seen = server.versions(source, None, 15, dms)
    assert [each.id for each in seen] == (["source-version"] if needed else [])


@pytest.mark.parametrize(("plugin", "kinds"), [("test-decoding", []), ("pglogical", ["plugin"])])
def test_a_plugin_that_is_not_installed_blocks(both: Pair, plugin: str, kinds: list[str]) -> None:
    assert [each.id for each in checked(both, plugin=plugin).open] == kinds


def test_a_target_that_is_older_than_the_source_blocks(both: Pair) -> None:
    (older,) = found(checked(both, target_major=11), "target-version")
    assert older.severity is Severity.BLOCKS


def test_the_target_is_checked_where_it_stands(both: Pair) -> None:
    report = checked(both, target=True)
    assert [each.id for each in report.findings if each.id.startswith("target-")] == []


@pytest.mark.parametrize(
    ("extension", "major", "known"),
    [("pgcrypto", 17, True), ("pg_walinspect", 14, None), ("pg_walinspect", 15, True), ("plpython3u", 17, False),
     ("timescaledb", 17, False), ("nobody_knows_it", 17, None), ("plcoffee", 18, None)],
)  # fmt: skip
def test_an_extension_is_in_rds_or_not_or_unknown(extension: str, major: int, known: bool | None) -> None:
    assert extensions.is_known(extension, major) is known


def test_no_extension_is_both_in_rds_and_never_there() -> None:
    known = {*extensions.IN_EVERY_VERSION, *extensions.SINCE, *extensions.UNTIL}
    assert known & set(extensions.NEVER) == set()


def estimate(**own: Any) -> sizes.Estimate:
    values = {"tables": 1, "rows": 1, "size": 90 * sizes.GIB, "index_size": 10 * sizes.GIB, "wal_rate": 2**20,
              "is_counted": True, "keep": None, "line_mbit": 1000.0}  # fmt: skip
    return sizes.Estimate(**values | own)


def test_the_load_takes_as_long_as_the_line_needs() -> None:
    assert estimate(size=450 * 10**9).load_hours == 1.0


@pytest.mark.parametrize(("keep", "severity"), [(64 * 2**20, Severity.BLOCKS), (2**40, Severity.NOTE)])
def test_a_limit_that_loses_the_slot_within_a_day_blocks(keep: int, severity: Severity) -> None:
    (limit,) = sizes.judge(estimate(keep=keep), sizes.Instance())
    assert (limit.id, limit.severity) == ("slot-limit", severity)


def test_storage_that_is_too_small_blocks() -> None:
    instance = sizes.Instance(dms_class="dms.t3.medium", dms_storage_gib=1, target_storage_gib=100)
    seen = {each.id for each in sizes.judge(estimate(line_mbit=100), instance)}
    assert seen == {"target-storage", "instance-storage", "instance-class"}
    assert sizes.judge(estimate(), sizes.Instance("3.6.1", "dms.r6i.large", 500, 500)) == []


def test_the_number_of_statements_is_the_same_for_one_table_and_for_many(both: Pair) -> None:
    def count() -> int:
        seen: list[str] = []
        with both.database("source", observe=lambda moment, text: seen.append(text)) as source:
            check(source, None, CheckOptions(schemas=["payments"], watch_seconds=0.01))
        return len(seen)

    both.administer("source", "CREATE TABLE payments.one (id int PRIMARY KEY, body text NOT NULL)",
                    f"GRANT SELECT ON payments.one TO {REPLICATION_USER}")  # fmt: skip
    before = count()
    both.administer("source", "DO $$ BEGIN FOR n IN 1..50 LOOP EXECUTE format('CREATE TABLE payments.t%s (id int "
                              "PRIMARY KEY, body text NOT NULL)', n); END LOOP; END $$",
                    f"GRANT SELECT ON ALL TABLES IN SCHEMA payments TO {REPLICATION_USER}")  # fmt: skip
    assert count() == before
