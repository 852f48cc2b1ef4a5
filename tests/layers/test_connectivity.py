"""The connectivity layer: from where it looks, what it looks at, what its function may read, when it runs."""

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
        ("database", "RdsEndpoint"),
        ("database", "RdsPort"),
        ("foundation", "KmsKeyArn"),
        ("network", "DmsSecurityGroupId"),
        ("network", "PrivateSubnetIds"),
        ("secrets", "DmsSecretArn"),
    )
}
GIVEN = {
    SUFFIX: "dev",
    "MigrationPhase": "dev",
    "CostCenter": "payments",
    "ArtifactsBucket": "artifacts",
    "ConnectivityCheckPackageKey": "connectivity_check/0.zip",
    "SourceHost": "payments.corp.internal",
    "SourcePort": "5432",
    "SourceDatabaseName": "payments",
    "SourceSecretArn": "<source secret>",
    "SourceCertificatePem": "<authority>",
}

Deployed = Callable[..., Evaluated]


@pytest.fixture
def deployed(template: Callable[[str], dict[str, Any]]) -> Deployed:
    """The resources with these parameters beside the usual ones."""
    return lambda **more: evaluate(template("connectivity"), GIVEN | more, imports=IMPORTS)


def ways(deployed: Evaluated) -> dict[str, Any]:
    properties: dict[str, Any] = deployed.resources["WaysOfDms"]["Properties"]
    return properties


def statements(deployed: Evaluated) -> dict[str, dict[str, Any]]:
    document = deployed.resources["ConnectivityFunctionPolicy"]["Properties"]["PolicyDocument"]
    return {item["Sid"]: item for item in document["Statement"]}


def test_nothing_changed(assert_golden: Callable[[str], None]) -> None:
    assert_golden("connectivity")


def test_it_waits_for_everything_that_it_tries() -> None:
    layers = [catalog.load(name) for name in catalog.layer_names()]
    needed = catalog.needs({layer.name: layer.build() for layer in layers}, layers)["connectivity"]
    assert {"network", "endpoints", "database", "database_users", "phase_routes"} <= needed


def test_it_looks_from_where_dms_will_stand(deployed: Deployed, template: Callable[[str], dict[str, Any]]) -> None:
    vpc = deployed().resources["ConnectivityFunction"]["Properties"]["VpcConfig"]
    assert vpc == {"SecurityGroupIds": ["<DmsSecurityGroupId>"], "SubnetIds": ["<PrivateSubnetIds>"]}
    resources = template("migration")["Resources"]
    assert "DmsSecurityGroupId" in json.dumps(resources["ReplicationInstance"]["Properties"]["VpcSecurityGroupIds"])
    assert "PrivateSubnetIds" in json.dumps(resources["ReplicationSubnets"]["Properties"]["SubnetIds"])


def test_it_tries_both_databases_as_dms_will(deployed: Deployed) -> None:
    tried = ways(deployed())
    assert tried["Source"] == {
        "Host": "payments.corp.internal",
        "Port": "5432",
        "DatabaseName": "payments",
        "SecretArn": "<source secret>",
        "SslMode": "verify-full",
        "CertificatePem": "<authority>",
    }
    # At the port that the secret names: an export that it imported could not change with the port.
    assert tried["Target"] == {
        "Host": "<RdsEndpoint>",
        "DatabaseName": "<DatabaseName>",
        "SecretArn": "<DmsSecretArn>",
    }


def test_it_tries_every_interface_endpoint_that_is_always_there(
    deployed: Deployed, template: Callable[[str], dict[str, Any]]
) -> None:
    endpoints = [
        body["Properties"]["ServiceName"]["Fn::Sub"].rsplit(".", 1)[-1]
        for body in template("endpoints")["Resources"].values()
        if body["Properties"]["VpcEndpointType"] == "Interface" and "Condition" not in body
    ]
    assert sorted(ways(deployed())["Endpoints"]) == sorted(f"{name}.us-east-1.amazonaws.com" for name in endpoints)


def test_the_source_is_told_by_the_same_parameters_as_to_the_migration(
    template: Callable[[str], dict[str, Any]],
) -> None:
    ours, migrated = (
        {name: body for name, body in template(layer)["Parameters"].items() if name.startswith("Source")}
        for layer in ("connectivity", "migration")
    )
    reading_changes = {"SourcePlugin", "SourceSlotName"}
    assert ours == {name: body for name, body in migrated.items() if name not in reading_changes}


def test_the_function_reads_the_secrets_of_both_ends_alone(deployed: Deployed) -> None:
    found = statements(deployed())
    assert found["ReadSecrets"]["Action"] == ["secretsmanager:GetSecretValue"]
    assert found["ReadSecrets"]["Resource"] == ["<source secret>", "<DmsSecretArn>"]
    assert found["DecryptSecrets"]["Resource"] == ["<KmsKeyArn>"]


def test_the_key_of_the_sources_secret_is_used_where_it_has_one(deployed: Deployed) -> None:
    found = statements(deployed(SourceSecretKeyArn="<source key>"))
    assert found["DecryptSecrets"]["Resource"] == ["<KmsKeyArn>", "<source key>"]
    assert found["DecryptSecrets"]["Condition"] == {
        "StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}
    }


@pytest.mark.parametrize("change", [{"ReleaseId": "8"}, {"ConnectivityCheckPackageKey": "connectivity_check/1.zip"}])
def test_it_runs_again_with_each_release_and_with_new_code(deployed: Deployed, change: dict[str, str]) -> None:
    assert ways(deployed()) != ways(deployed(**change))


def test_the_longest_patience_fits_into_the_functions_time(
    deployed: Deployed, template: Callable[[str], dict[str, Any]]
) -> None:
    resources = deployed().resources
    timeout = resources["ConnectivityFunction"]["Properties"]["Timeout"]
    most = template("connectivity")["Parameters"]["ConnectivityPatienceSeconds"]["MaxValue"]
    assert most + 200 <= timeout <= 900
    assert timeout < resources["WaysOfDms"]["Properties"]["ServiceTimeout"] <= timeout + 60


def test_a_source_that_cannot_be_verified_is_refused_unless_the_user_says_so(deployed: Deployed) -> None:
    (sentence,) = deployed(SourceCertificatePem="").failed_rules
    assert sentence.startswith("SourceSslMode verify-full needs SourceCertificatePem")
    assert deployed(SourceCertificatePem="", SourceSslMode="require").failed_rules == ()


@pytest.mark.parametrize("parameter", ["SourceHost", "SourcePort", "SourceDatabaseName", "SourceSecretArn"])
def test_facts_about_the_source_have_no_default(template: Callable[[str], dict[str, Any]], parameter: str) -> None:
    assert "Default" not in template("connectivity")["Parameters"][parameter]
