"""The effects of changes of our own templates and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from builders.stack_diff.effects import Effect

from .changing import ROOT, effects, released

LAYERS = sorted(path.stem for path in (ROOT / "templates").glob("*.json"))
PHASE_LAYERS = [name for name in LAYERS if name not in ("account", "artifacts", "phase_routes", "shared_network")]


@pytest.mark.parametrize("name", PHASE_LAYERS)
def test_a_release_that_changes_nothing_changes_nothing(name: str) -> None:
    assert effects(released(name)) == {}


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        (
            "database",
            {"AllocatedStorageGiB": "50", "MultiAZ": "true", "BackupRetentionDays": "35"},
            {"Database": ("modify", ("AllocatedStorage", "BackupRetentionPeriod", "MultiAZ"))},
        ),
        (
            "database",
            {"DatabaseName": "ledger"},
            {
                "Database": ("replace", ("DBName",)),
                "SecretAttachment": ("modify", ("TargetId (Database is replaced)",)),
                "DmsSecretAttachment": ("modify", ("TargetId (Database is replaced)",)),
                "": ("outputs", ("DatabaseName",)),
            },
        ),
        (
            "migration",
            {"ReplicationInstanceClass": "dms.r6i.large", "ReplicationMultiAZ": "true"},
            {"ReplicationInstance": ("modify", ("MultiAZ", "ReplicationInstanceClass"))},
        ),
    ],
)
def test_a_parameter_changes_what_depends_on_it(
    name: str, values: dict[str, Any], expected: dict[str, tuple[str, tuple[str, ...]]]
) -> None:
    assert effects(released(name, **values)) == expected


def test_a_new_major_version_replaces_the_parameter_group_and_upgrades_the_database_in_place() -> None:
    found = effects(released("database", EngineVersion="18.1"))
    assert found["ServerSettings"] == ("replace", ("Family",))
    assert found["Database"] == ("modify", ("DBParameterGroupName (ServerSettings is replaced)", "EngineVersion"))


def test_another_range_replaces_the_whole_network_with_its_associations() -> None:
    found = effects(released("network", VpcCidr="10.99.0.0/16"))
    assert found["Vpc"] == ("replace", ("CidrBlock",))
    assert found["PrivateSubnet1"] == ("replace", ("CidrBlock", "VpcId (Vpc is replaced)"))
    assert found["PrivateSubnet1RouteTable"] == (
        "replace",
        ("RouteTableId (PrivateRouteTable is replaced)", "SubnetId (PrivateSubnet1 is replaced)"),
    )
    assert found["FlowLog"] == ("replace", ("ResourceId (Vpc is replaced)",))


def test_another_transit_gateway_replaces_the_attachment_and_only_modifies_its_route() -> None:
    def attached(gateway: str) -> dict[str, Any]:
        return {"Connectivity": "TransitGateway", "TransitGatewayId": f"tgw-{gateway * 17}"}

    added = effects(
        released("network", values_before={"Connectivity": "None", "TransitGatewayId": ""}, **attached("a"))
    )
    assert added["TransitGatewayAttachment"] == ("add", ())
    found = effects(released("network", values_before=attached("a"), **attached("b")))
    assert found["TransitGatewayAttachment"] == ("replace", ("TransitGatewayId",))
    # A route takes another target in place: only its table and its destination are create-only.
    assert found["OnPremisesRoute1"][0] == "modify"


def test_another_gateway_modifies_the_route_too() -> None:
    transit = {"Connectivity": "TransitGateway", "TransitGatewayId": f"tgw-{'a' * 17}"}
    gateway = "01234567-89ab-cdef-0123-456789abcdef"
    private: dict[str, Any] = {
        "Connectivity": "VirtualPrivateGateway",
        "TransitGatewayId": "",
        "DirectConnectGatewayId": gateway,
    }
    found = effects(released("network", values_before=transit, **private))
    assert found["OnPremisesRoute1"] == ("modify", ("GatewayId", "Metadata", "TransitGatewayId"))


def of(logical_id: str, **properties: Any) -> Callable[[dict[str, Any]], object]:
    return lambda resources: resources[logical_id]["Properties"].update(properties)


def test_another_identifier_replaces_the_database_under_its_new_name() -> None:
    found = released("database", of("Database", DBInstanceIdentifier="ledger"))
    (change,) = [each for each in found.changes if each.logical_id == "Database"]
    assert (change.effect, change.causes, change.named) == (Effect.REPLACE, ("DBInstanceIdentifier",), "ledger")


def test_public_access_replaces_the_replication_instance_and_its_task() -> None:
    found = effects(released("migration", of("ReplicationInstance", PubliclyAccessible=True)))
    assert found["ReplicationInstance"] == ("replace", ("PubliclyAccessible",))
    assert found["ReplicationTask"] == ("replace", ("ReplicationInstanceArn (ReplicationInstance is replaced)",))
    assert not {name for name, (effect, _) in found.items() if effect == "replace"} & {
        "SourceEndpoint",
        "TargetEndpoint",
    }


def test_a_new_package_modifies_the_function_and_may_replace_what_it_answers_for() -> None:
    found = effects(released("connectivity", ConnectivityCheckPackageKey="connectivity_check/new.zip"))
    assert found["ConnectivityFunction"] == ("modify", ("Code.S3Key",))
    assert found["WaysOfDms"] == ("may replace", ("PackageKey",))


def test_the_cost_center_is_a_matter_of_tags_alone() -> None:
    found = effects(released("network", CostCenter="other"))
    assert {name: effect for name, effect in found.items() if effect != ("modify", ("Tags",))} == {}
    assert "Vpc" in found
