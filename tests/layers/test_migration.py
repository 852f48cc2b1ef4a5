"""The migration layer: private, encrypted, by secret, verified, and with no table that nobody named."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from builders import catalog, naming
from builders.evaluate import Evaluated

from .migration_layer import KEY, PEM, SECRET, evaluated, matches, properties_of

BUNDLE = Path(__file__).parents[2] / "lambda" / "shared" / "transport" / "rds-ca.pem"


@pytest.fixture
def built(template: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return template("migration")


@pytest.fixture
def properties(built: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """The properties of a resource with the parameters of a test."""
    return functools.partial(properties_of, built)


@pytest.fixture
def with_parameters(built: dict[str, Any]) -> Callable[..., Evaluated]:
    """The template with the parameters of a test, and others by keyword."""
    return functools.partial(evaluated, built)


def test_nothing_changed(assert_golden: Callable[[str], None]) -> None:
    assert_golden("migration")


def test_the_instance_is_private_encrypted_and_has_the_group_of_dms(properties: Callable[..., Any]) -> None:
    instance = properties("ReplicationInstance")
    assert instance["PubliclyAccessible"] is False
    assert instance["KmsKeyId"] == "<foundation-KmsKeyArn-dev>"
    assert instance["VpcSecurityGroupIds"] == ["<network-DmsSecurityGroupId-dev>"]
    assert instance["ReplicationSubnetGroupIdentifier"] == "${ReplicationSubnets}"
    assert instance["AutoMinorVersionUpgrade"] is True


def test_the_subnet_group_lists_the_private_subnets_of_the_network(with_parameters: Callable[..., Evaluated]) -> None:
    group = with_parameters().resources["ReplicationSubnets"]["Properties"]
    assert group["SubnetIds"] == ["<network-PrivateSubnetIds-dev>"]


@pytest.mark.parametrize(("given", "deployed"), [({}, "false"), ({"ReplicationMultiAZ": "true"}, "true")])
def test_a_standby_is_what_an_environment_asks_for(
    properties: Callable[..., Any], given: dict[str, str], deployed: str
) -> None:
    assert properties("ReplicationInstance", **given)["MultiAZ"] == deployed


def test_the_engine_version_and_the_source_have_no_default(built: dict[str, Any]) -> None:
    without = {name for name, parameter in built["Parameters"].items() if "Default" not in parameter}
    asked = {"ReplicationEngineVersion", "SourceHost", "SourcePort", "SourceDatabaseName", "SourceSecretArn"}
    assert asked | {"SchemaName1"} <= without


def test_what_is_named_on_purpose_fits_dms_at_the_longest_suffix(properties: Callable[..., Any]) -> None:
    suffix = "s" * naming.SUFFIX_MAX_LENGTH
    instance = properties("ReplicationInstance", EnvironmentSuffix=suffix)["ReplicationInstanceIdentifier"]
    task = properties("ReplicationTask", EnvironmentSuffix=suffix)
    assert instance == f"stackferry-replication-{suffix}"
    assert len(instance) <= 63
    assert instance == instance.lower()
    assert task["ReplicationTaskIdentifier"] == f"stackferry-task-{suffix}"
    # CreateReplicationTask: up to 31 characters, no hyphen at the end, no two in a row
    assert task["ResourceIdentifier"] == f"ferry-task-{suffix}"
    assert re.fullmatch(r"(?!.*--)[A-Za-z][A-Za-z0-9-]{0,29}[A-Za-z0-9]", task["ResourceIdentifier"])


def test_the_log_of_the_task_stands_encrypted_before_dms_would_make_it(built: dict[str, Any]) -> None:
    group = built["Resources"]["ReplicationLogs"]["Properties"]
    instance = built["Resources"]["ReplicationInstance"]
    identifier = instance["Properties"]["ReplicationInstanceIdentifier"]
    assert group["LogGroupName"] == {"Fn::Join": ["", ["dms-tasks-", identifier]]}
    assert {"KmsKeyId", "RetentionInDays"} <= set(group)
    assert instance["DependsOn"] == ["ReplicationLogs"]


@pytest.mark.parametrize("side", ["Source", "Target"])
def test_an_endpoint_reads_its_secret_itself_and_knows_nothing_of_it(properties: Callable[..., Any], side: str) -> None:
    endpoint = properties(f"{side}Endpoint")
    settings = endpoint["PostgreSqlSettings"]
    secret = {"Source": SECRET, "Target": "<secrets-DmsSecretArn-dev>"}[side]
    assert settings["SecretsManagerSecretId"] == secret
    assert settings["SecretsManagerAccessRoleArn"] == f"${{{side}SecretRole.Arn}}"
    assert {"Username", "Password", "ServerName", "Port"} & set(endpoint) == set()


def test_each_endpoint_has_its_database(properties: Callable[..., Any]) -> None:
    assert properties("SourceEndpoint", SourceDatabaseName="ledger")["DatabaseName"] == "ledger"
    assert properties("TargetEndpoint")["DatabaseName"] == "<database-DatabaseName-dev>"


def test_booleans_stay_booleans_and_an_idle_source_sends_a_heartbeat(properties: Callable[..., Any]) -> None:
    source = properties("SourceEndpoint")["PostgreSqlSettings"]
    target = properties("TargetEndpoint")["PostgreSqlSettings"]
    assert source["MapBooleanAsBoolean"] is True
    assert target["MapBooleanAsBoolean"] is True
    assert source["HeartbeatEnable"] is True


@pytest.mark.parametrize("plugin", ["test-decoding", "pglogical"])
def test_the_plug_in_is_one_that_the_api_knows(
    built: dict[str, Any], properties: Callable[..., Any], plugin: str
) -> None:
    assert properties("SourceEndpoint", SourcePlugin=plugin)["PostgreSqlSettings"]["PluginName"] == plugin
    assert plugin in built["Parameters"]["SourcePlugin"]["AllowedValues"]


@pytest.mark.parametrize("side", ["Source", "Target"])
def test_a_role_for_a_secret_trusts_dms_of_the_region_alone(properties: Callable[..., Any], side: str) -> None:
    (statement,) = properties(f"{side}SecretRole", region="eu-central-1")["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": ["dms.eu-central-1.amazonaws.com"]}


def statements(policy: dict[str, Any]) -> dict[str, tuple[list[str], list[str]]]:
    return {item["Sid"]: (item["Action"], item["Resource"]) for item in policy["PolicyDocument"]["Statement"]}


def test_the_targets_role_reads_one_secret_and_its_key(properties: Callable[..., Any]) -> None:
    key = ["<foundation-KmsKeyArn-dev>"]
    assert statements(properties("TargetSecretPolicy")) == {
        "ReadSecret": (["secretsmanager:GetSecretValue"], ["<secrets-DmsSecretArn-dev>"])
    }
    assert statements(properties("TargetSecretKeyPolicy")) == {
        "DecryptSecret": (["kms:Decrypt"], key),
        "LookAtKey": (["kms:DescribeKey"], key),
    }
    assert properties("TargetSecretRole")["ManagedPolicyArns"] == ["${TargetSecretPolicy}", "${TargetSecretKeyPolicy}"]


def test_the_sources_role_reads_one_secret_and_no_key_that_was_not_given(
    with_parameters: Callable[..., Evaluated],
) -> None:
    found = with_parameters().resources
    assert statements(found["SourceSecretPolicy"]["Properties"]) == {
        "ReadSecret": (["secretsmanager:GetSecretValue"], [SECRET])
    }
    assert found["SourceSecretRole"]["Properties"]["ManagedPolicyArns"] == ["${SourceSecretPolicy}"]
    assert "SourceSecretKeyPolicy" not in found


def test_the_sources_role_reads_the_key_that_was_given(properties: Callable[..., Any]) -> None:
    given = {"SourceSecretKeyArn": KEY}
    assert statements(properties("SourceSecretKeyPolicy", **given)) == {
        "DecryptSecret": (["kms:Decrypt"], [KEY]),
        "LookAtKey": (["kms:DescribeKey"], [KEY]),
    }
    assert properties("SourceSecretRole", **given)["ManagedPolicyArns"] == [
        "${SourceSecretPolicy}",
        "${SourceSecretKeyPolicy}",
    ]


def test_the_target_is_always_verified_with_the_root_of_its_region(properties: Callable[..., Any]) -> None:
    endpoint = properties("TargetEndpoint", region="eu-central-1", SourceSslMode="require", SourceCertificatePem="")
    assert (endpoint["SslMode"], endpoint["CertificateArn"]) == ("verify-full", "${TargetCertificate}")
    pem = properties("TargetCertificate", region="eu-central-1")["CertificatePem"]
    assert common_name(x509.load_pem_x509_certificate(pem.encode())) == "Amazon RDS eu-central-1 Root CA RSA2048 G1"


def test_the_source_is_verified_with_the_certificate_that_was_given(properties: Callable[..., Any]) -> None:
    endpoint = properties("SourceEndpoint")
    assert (endpoint["SslMode"], endpoint["CertificateArn"]) == ("verify-full", "${SourceCertificate}")
    assert properties("SourceCertificate")["CertificatePem"] == PEM


def test_the_source_is_only_encrypted_where_the_user_says_so(with_parameters: Callable[..., Evaluated]) -> None:
    found = with_parameters(SourceSslMode="require").resources
    assert found["SourceEndpoint"]["Properties"]["SslMode"] == "require"
    assert "CertificateArn" not in found["SourceEndpoint"]["Properties"]
    assert "SourceCertificate" not in found


def test_no_connection_can_be_without_tls(built: dict[str, Any]) -> None:
    assert built["Parameters"]["SourceSslMode"]["AllowedValues"] == ["verify-full", "require"]


def test_verification_without_a_certificate_is_refused_in_words(with_parameters: Callable[..., Evaluated]) -> None:
    (sentence,) = with_parameters(SourceCertificatePem="").failed_rules
    assert sentence.startswith("SourceSslMode verify-full needs SourceCertificatePem")
    assert with_parameters(SourceCertificatePem="", SourceSslMode="require").failed_rules == ()
    assert with_parameters().failed_rules == ()


def roots(built: dict[str, Any]) -> dict[str, x509.Certificate]:
    mapping = built["Mappings"]["RegionRoots"]
    return {region: x509.load_pem_x509_certificate(entry["Pem"].encode()) for region, entry in mapping.items()}


def common_name(certificate: x509.Certificate) -> str:
    (attribute,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(attribute.value)


def test_every_root_is_that_of_its_region_and_key_type_and_signs_itself_for_years(built: dict[str, Any]) -> None:
    for region, root in roots(built).items():
        assert common_name(root) == f"Amazon RDS {region} Root CA RSA2048 G1"
        root.verify_directly_issued_by(root)
        key = root.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        assert key.key_size == 2048
        assert root.not_valid_after_utc > datetime.now(UTC) + timedelta(days=3650)


def test_every_root_is_in_the_bundle_that_the_functions_verify_with(built: dict[str, Any]) -> None:
    bundle = set(x509.load_pem_x509_certificates(BUNDLE.read_bytes()))
    assert set(roots(built).values()) - bundle == set()


def test_the_regions_of_the_lint_have_a_root(built: dict[str, Any]) -> None:
    config = (Path(__file__).parents[2] / ".cfnlintrc").read_text(encoding="utf-8")
    assert set(re.findall(r"- ([a-z]+-[a-z]+-\d)$", config, re.MULTILINE)) - set(roots(built)) == set()


def test_every_certificate_fits_into_a_parameter_of_dms(built: dict[str, Any]) -> None:
    assert max(len(entry["Pem"]) for entry in built["Mappings"]["RegionRoots"].values()) < 4096


@pytest.mark.parametrize(
    ("parameter", "refused"),
    [
        ("SourceHost", ["", "https://db", "db:5432", "-db", "db..corp", "a b"]),
        ("SourceSecretArn", ["", "source", SECRET[:-7], SECRET.replace("secretsmanager", "ssm")]),
        ("SourceSecretKeyArn", ["key", KEY.replace(":key/", ":alias/")]),
        ("SourceCertificatePem", ["MIIB", PEM + PEM, "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"]),
        ("ReplicationEngineVersion", ["", "3", "3.6", "latest", "3.6.1-r2"]),
        ("ReplicationInstanceClass", ["t3.medium", "db.t3.medium"]),
        ("SourceSlotName", ["Copied", "a-b", "x" * 64]),
        ("CdcStartPosition", ["4AF", "4af/b00000d0", "2026-03-08T12:12:12", "123456789/1"]),
        ("ReplicationMaintenanceWindow", ["sun:5:00-sun:05:30", "05:00-05:30"]),
    ],
)
def test_a_value_that_dms_would_stumble_over_is_refused_before(
    built: dict[str, Any], parameter: str, refused: list[str]
) -> None:
    assert [value for value in refused if matches(built, parameter, value)] == []


def test_the_outputs_name_the_instance_the_task_and_the_source(with_parameters: Callable[..., Evaluated]) -> None:
    assert with_parameters().outputs == {
        "DmsReplicationInstanceArn": "${ReplicationInstance}",
        "ReplicationTaskArn": "${ReplicationTask}",
        "SourceEndpointArn": "${SourceEndpoint}",
        "TargetEndpointArn": "${TargetEndpoint}",
        "SourceAddress": "payments.corp.internal:5432",
        "TargetCertificateArn": "${TargetCertificate}",
    }


def test_the_way_is_proven_and_the_user_is_there_before_dms_needs_them() -> None:
    assert {"connectivity", "database_users"} <= set(catalog.load("migration").after)
