"""Exports, and what AWS refuses while another stack imports them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Account, Refused, Template


def exporting(value: Any, name: str = "names") -> Template:
    return {"Outputs": {"Names": {"Value": value, "Export": {"Name": name}}}}


def queue(name: Any) -> Template:
    return {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}}


SECOND = {"Fn::Select": [1, {"Fn::Split": [",", {"Fn::ImportValue": "names"}]}]}


@pytest.fixture
def imported(account: Account) -> Account:
    account.deploy(queue("q"), stack="producer", sections=exporting("one,two"))
    account.deploy(queue(SECOND), stack="consumer")
    return account


def test_a_part_of_an_imported_list_can_be_selected(imported: Account) -> None:
    assert imported.physical_id("Queue", stack="consumer").endswith("/two")


def test_an_import_of_nothing_is_refused(account: Account) -> None:
    with pytest.raises(Refused, match="names"):
        account.deploy(queue({"Fn::ImportValue": "names"}))


def test_an_export_in_use_cannot_change(imported: Account) -> None:
    with pytest.raises(Refused, match="Export names cannot be updated as it is in use by consumer"):
        imported.deploy(queue("q"), stack="producer", sections=exporting("one,three"))


def test_an_export_in_use_cannot_go(imported: Account) -> None:
    with pytest.raises(Refused, match="Export names cannot be deleted as it is in use by consumer"):
        imported.deploy(queue("q"), stack="producer", sections={"Outputs": {"Other": {"Value": "x"}}})


def test_a_stack_whose_export_is_in_use_cannot_be_deleted(imported: Account) -> None:
    with pytest.raises(ClientError, match="names"):
        imported.delete("producer")
    assert imported.status("producer") == "CREATE_COMPLETE"


def test_an_export_that_nobody_imports_any_more_can_change_and_go(imported: Account) -> None:
    imported.delete("consumer")
    imported.deploy(queue("q"), stack="producer", sections=exporting("three"))
    imported.deploy(queue("q"), stack="producer", sections={"Outputs": {"Other": {"Value": "x"}}})
    assert imported.client("cloudformation").list_exports()["Exports"] == []


def test_two_stacks_cannot_export_one_name(account: Account) -> None:
    account.deploy(queue("q"), stack="producer", sections=exporting("one"))
    with pytest.raises(Refused, match="Export with name names is already exported by stack producer"):
        account.deploy(queue("r"), stack="rival", sections=exporting("two"))
