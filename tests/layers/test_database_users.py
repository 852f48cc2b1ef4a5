"""The database_users layer: whom it logs in as, what its function may read, when it runs, what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from builders import catalog
from builders.evaluate import Evaluated, evaluate
from builders.naming import SUFFIX

IMPORTS = {
    f"{layer}-{name}-dev": f"<{name}>"
    for layer, name in (
        ("database", "DatabaseName"),
        ("database", "DmsSecretAttachmentId"),
        ("database", "SecretAttachmentId"),
        ("foundation", "KmsKeyArn"),
        ("network", "FunctionSecurityGroupId"),
        ("network", "PrivateSubnetIds"),
        ("secrets", "DmsSecretArn"),
        ("secrets", "SecretsManagerArn"),
    )
}
GIVEN = {
    SUFFIX: "dev",
    "MigrationPhase": "dev",
    "CostCenter": "payments",
    "ArtifactsBucket": "artifacts",
    "DatabaseUsersPackageKey": "database_users/0.zip",
    "SchemaName1": "payments",
}

Deployed = Callable[..., Evaluated]


@pytest.fixture
def deployed(template: Callable[[str], dict[str, Any]]) -> Deployed:
    """The resources with these parameters beside the usual ones."""
    return lambda **more: evaluate(template("database_users"), GIVEN | more, imports=IMPORTS)


def user(deployed: Evaluated) -> dict[str, Any]:
    properties: dict[str, Any] = deployed.resources["DmsUser"]["Properties"]
    return properties


def test_nothing_changed(assert_golden: Callable[[str], None]) -> None:
    assert_golden("database_users")


def test_it_waits_for_the_database_its_secrets_and_the_endpoints() -> None:
    layers = [catalog.load(name) for name in catalog.layer_names()]
    needed = catalog.needs({layer.name: layer.build() for layer in layers}, layers)["database_users"]
    assert {"database", "endpoints", "network", "secrets"} <= needed


def test_the_function_reads_both_secrets_and_writes_their_port_and_does_nothing_else_with_any(
    deployed: Deployed,
) -> None:
    (policy,) = [item for item in deployed().resources.values() if item["Type"] == "AWS::IAM::ManagedPolicy"]
    statements = {item["Sid"]: item for item in policy["Properties"]["PolicyDocument"]["Statement"]}
    assert statements["UseSecret"]["Action"] == [
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
    ]
    assert statements["UseSecret"]["Resource"] == ["<SecretsManagerArn>", "<DmsSecretArn>"]
    assert statements["UseKeyOfSecret"]["Resource"] == ["<KmsKeyArn>"]
    assert statements["UseKeyOfSecret"]["Condition"] == {
        "StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}
    }
    assert not [
        sid for sid, item in statements.items() if "secret" in json.dumps(item["Action"]) and sid != "UseSecret"
    ]


def test_the_function_reads_the_pending_versions_too(deployed: Deployed) -> None:
    """While a rotation is between its steps the pending password is the one in force."""
    (policy,) = [item for item in deployed().resources.values() if item["Type"] == "AWS::IAM::ManagedPolicy"]
    (reading,) = [item for item in policy["Properties"]["PolicyDocument"]["Statement"] if item["Sid"] == "UseSecret"]
    assert "Condition" not in reading


def test_the_function_wears_the_group_of_functions(deployed: Deployed) -> None:
    vpc = deployed().resources["DatabaseUsersFunction"]["Properties"]["VpcConfig"]
    assert vpc == {"SecurityGroupIds": ["<FunctionSecurityGroupId>"], "SubnetIds": ["<PrivateSubnetIds>"]}


def test_no_property_holds_a_password(deployed: Deployed) -> None:
    assert user(deployed(ReleaseId="7")) == {
        "ServiceToken": "${DatabaseUsersFunction.Arn}",
        "ServiceTimeout": 180,
        "PackageKey": "database_users/0.zip",
        "ReleaseId": "7",
        "MasterSecretArn": "<SecretsManagerArn>",
        "MasterSecretAttachment": "<SecretAttachmentId>",
        "UserSecretArn": "<DmsSecretArn>",
        "UserSecretAttachment": "<DmsSecretAttachmentId>",
        "DatabaseName": "<DatabaseName>",
        "Port": "5432",
        "Schemas": ["payments", "stackferry"],
        "DropOnDelete": "false",
    }


@pytest.mark.parametrize("change", [{"ReleaseId": "8"}, {"DatabaseUsersPackageKey": "database_users/1.zip"}])
def test_it_runs_again_with_each_release_and_with_new_code(deployed: Deployed, change: dict[str, str]) -> None:
    assert user(deployed()) != user(deployed(**change))


def test_cloudformation_waits_little_longer_than_the_function_runs(deployed: Deployed) -> None:
    resources = deployed().resources
    timeout = resources["DatabaseUsersFunction"]["Properties"]["Timeout"]
    assert timeout < resources["DmsUser"]["Properties"]["ServiceTimeout"] <= timeout + 60


def test_it_waits_for_the_rights_of_its_function(template: Callable[[str], dict[str, Any]]) -> None:
    assert template("database_users")["Resources"]["DmsUser"]["DependsOn"] == ["DatabaseUsersFunctionPolicy"]


def test_the_schemas_are_those_of_the_migration(template: Callable[[str], dict[str, Any]]) -> None:
    ours, migrated = (
        {name: body for name, body in template(layer)["Parameters"].items() if name.startswith("SchemaName")}
        for layer in ("database_users", "migration")
    )
    assert ours == migrated


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_each_further_schema_is_one_when_it_is_named(deployed: Deployed, number: int) -> None:
    assert user(deployed(**{f"SchemaName{number}": "ledger"}))["Schemas"] == ["payments", "ledger", "stackferry"]


def test_the_user_is_dropped_only_where_somebody_says_so(deployed: Deployed) -> None:
    assert user(deployed(DropDmsUserOnDelete="true"))["DropOnDelete"] == "true"
