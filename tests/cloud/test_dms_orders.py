"""Table mappings and task settings, as DMS reads them and as it refuses them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dms_task import resources, task

from builders.cloud.dms import mappings, settings
from builders.cloud.dms.faults import Fault

from .conftest import Account, Refused
from .dms_rig import rule


def read(*rules: dict[str, Any]) -> mappings.Mappings:
    return mappings.read(json.dumps({"rules": list(rules)}))


def transformation(target: str, action: str, number: int = 7, **more: Any) -> dict[str, Any]:
    locator = {"schema-name": "%", "table-name": "%", **more.pop("locator", {})}
    return {"rule-type": "transformation", "rule-id": str(number), "rule-name": "7", "rule-target": target,
            "rule-action": action, "object-locator": locator, **more}  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("pay%", "payments", "repay"),
        ("a_c", "abc", "ac"),
        ("a[_]c", "a_c", "abc"),
        ("[_]hidden", "_hidden", "xhidden"),
        ("t[ab]", "ta", "tc"),
        ("t[a-c]", "tb", "td"),
        ("a.c", "a.c", "abc"),
        ("Ünïcode%", "Ünïcode schema", "Unicode"),
        ("(x)+", "(x)+", "x"),
        ("a%b", "a\nb", "a\nc"),
    ],
)
def test_names_fit_patterns_with_wildcards(pattern: str, fits: str, does_not: str) -> None:
    found = read(rule(schema="s", table=pattern))
    assert found.selects(("s", fits))
    assert not found.selects(("s", does_not))
    assert not found.selects(("S", fits))


def test_what_is_excluded_stays_out_whatever_the_order_and_what_is_explicit_comes_in() -> None:
    found = read(
        rule(table="old%", action="exclude", number=1), rule(number=2), rule(table="older", action="explicit", number=3)
    )
    assert [found.selects(("payments", name)) for name in ("orders", "old", "older")] == [True, False, True]


def test_names_change_as_transformations_say() -> None:
    found = read(
        rule(),
        transformation("schema", "rename", 2, value="ledger"),
        transformation("table", "add-prefix", 3, value="new_", locator={"table-name": "orders"}),
        transformation("column", "convert-uppercase", 4, locator={"column-name": "id"}),
        transformation("column", "remove-column", 5, locator={"column-name": "secret%"}),
    )
    assert found.target(("payments", "orders")) == ("ledger", "new_orders")
    assert found.target(("payments", "lines")) == ("ledger", "lines")
    columns = ("id", "secret_key", "n")
    assert [found.column(("payments", "orders"), name) for name in columns] == ["ID", None, "n"]


def test_of_columns_those_are_carried_that_are_included() -> None:
    found = read(rule(), transformation("column", "include-column", locator={"column-name": "id"}))
    assert [found.column(("payments", "orders"), name) for name in ("id", "n")] == ["id", None]


def test_a_table_has_large_values_of_its_own() -> None:
    own = {"rule-type": "table-settings", "rule-id": "2", "rule-name": "2",
           "object-locator": {"schema-name": "payments", "table-name": "orders"},
           "lob-settings": {"mode": "limited", "bulk-max-size": "16"}}  # fmt: skip
    found = read(rule(), own)
    assert found.lob_settings(("payments", "orders")) == mappings.LobSettings("limited", 16)
    assert found.lob_settings(("payments", "lines")) == mappings.LobSettings()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "malformed json"),
        ("{}", "missing rules"),
        (json.dumps({"rules": []}), "At least one selection rule"),
        (json.dumps({"rules": [rule(), rule()]}), "Duplicate rule-id"),
        (json.dumps({"rules": [rule(action="take")]}), "Invalid rule-action 'take'"),
        (json.dumps({"rules": [rule(), {**rule(number=2), "rule-type": "wish"}]}), "Invalid rule-type 'wish'"),
        (json.dumps({"rules": [rule(), transformation("column", "change-data-type")]}), "is a transformation that"),
        (json.dumps({"rules": [{**rule(), "filters": [{"filter-type": "source"}]}]}), "filters of the source"),
        (json.dumps({"rules": [{**rule(), "object-locator": {}}]}), "no schema-name"),
    ],
)
def test_mappings_that_cannot_be_carried_out_are_refused(text: str, reason: str) -> None:
    with pytest.raises(Fault, match=reason):
        mappings.read(text)


def test_what_the_settings_leave_out_has_the_default_of_dms() -> None:
    found = settings.read('{"FullLoadSettings": {"CommitRate": 5}, "TTSettings": null}')
    assert (found["FullLoadSettings"]["CommitRate"], found["FullLoadSettings"]["MaxFullLoadSubTasks"]) == (5, 8)
    assert found.errors["FullLoadIgnoreConflicts"]
    assert not found.full_lob_mode


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "Invalid task settings JSON"),
        ("[]", "it is not an object"),
        ('{"FullLoad": {}}', "unknown section FullLoad"),
        ('{"FullLoadSettings": {"CommitRte": 5}}', "FullLoadSettings has no setting CommitRte"),
        ('{"FullLoadSettings": {"CommitRate": "5"}}', "CommitRate is '5', not of type int"),
        ('{"FullLoadSettings": {"CommitRate": true}}', "CommitRate is True, not of type int"),
        ('{"FullLoadSettings": {"TargetTablePrepMode": "DROP"}}', "it is one of DO_NOTHING"),
        ('{"ErrorBehavior": {"TableErrorPolicy": "LOG_ERROR"}}', "it is one of SUSPEND_TABLE, STOP_TASK"),
        ('{"Logging": {"CloudWatchLogGroup": "mine"}}', "cannot be set on create"),
    ],
)
def test_settings_that_dms_does_not_know_are_refused(text: str, reason: str) -> None:
    with pytest.raises(Fault, match=reason):
        settings.read(text)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ReplicationTaskSettings", '{"Loging": {}}', "unknown section Loging.*InvalidParameterValueException"),
        ("TableMappings", '{"rules": []}', "At least one selection rule is required"),
    ],
)
def test_a_stack_says_what_its_task_is_refused_for(account: Account, name: str, value: str, reason: str) -> None:
    template = {**resources(), "Task": task("ferry", **{name: value})}
    with pytest.raises(Refused, match=reason):
        account.deploy(template)


def test_a_task_at_rest_is_not_modified_into_nonsense(account: Account) -> None:
    account.deploy(resources())
    dms, arn = account.client("dms"), account.physical_id("Task")
    with pytest.raises(dms.exceptions.ClientError, match="unknown section Loging"):
        dms.modify_replication_task(ReplicationTaskArn=arn, ReplicationTaskSettings='{"Loging": {}}')
