"""The migration layer: private, encrypted, by secret, verified, and with no table that nobody named."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from builders import catalog, naming
from builders.evaluate import Evaluated, evaluate

BUNDLE = Path(__file__).parents[2] / "lambda" / "shared" / "transport" / "rds-ca.pem"
SECRET = "arn:aws:secretsmanager:us-east-1:111111111111:secret:source-AbCdEf"
KEY = "arn:aws:kms:us-east-1:111111111111:key/0123abcd-0123-0123-0123-0123456789ab"
SIDES = ("Source", "Target")
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
GIVEN = {
    "EnvironmentSuffix": "dev",
    "MigrationPhase": "dev",
    "CostCenter": "payments",
    "ReplicationEngineVersion": "3.6.1",
    "SourceHost": "payments.corp.internal",
    "SourcePort": "5432",
    "SourceDatabaseName": "payments",
    "SourceSecretArn": SECRET,
    "SourceCertificatePem": PEM,
    "SchemaName1": "payments",
}


class Imports(dict[str, str]):
    """Every export there is, as a text that names it."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return f"<{name}>"


@pytest.fixture
def built(template: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return template("migration")


@pytest.fixture
def with_parameters(built: dict[str, Any]) -> Callable[..., Evaluated]:
    """The template with the parameters of a test, and others by keyword."""

    def given(region: str = "us-east-1", **more: str) -> Evaluated:
        return evaluate(built, GIVEN | more, imports=Imports(), region=region)

    return given


@pytest.fixture
def properties(with_parameters: Callable[..., Evaluated]) -> Callable[..., dict[str, Any]]:
    """The properties of a resource with the parameters of a test."""

    def of(name: str, **more: str) -> dict[str, Any]:
        found: dict[str, Any] = with_parameters(**more).resources[name]["Properties"]
        return found

    return of


def matches(built: dict[str, Any], parameter: str, value: str) -> bool:
    return bool(re.fullmatch(built["Parameters"][parameter]["AllowedPattern"], value))


def test_nothing_changed(assert_golden: Callable[[str], None]) -> None:
    assert_golden("migration")


def test_the_instance_is_private_encrypted_and_wears_the_group_of_dms(properties: Callable[..., Any]) -> None:
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


def mappings(properties: Callable[..., Any], **given: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = json.loads(properties("ReplicationTask", **given)["TableMappings"])["rules"]
    return rules


def test_the_task_carries_all_tables_of_the_schema_that_is_named(properties: Callable[..., Any]) -> None:
    assert mappings(properties) == [
        {
            "rule-type": "selection",
            "rule-id": "1",
            "rule-name": "schema-1",
            "object-locator": {"schema-name": "payments", "table-name": "%"},
            "rule-action": "include",
        }
    ]


def test_every_further_schema_has_a_rule_of_its_own_number(properties: Callable[..., Any]) -> None:
    names = {f"SchemaName{number}": f"schema{number}" for number in range(1, 6)}
    rules = mappings(properties, **names)
    assert [rule["object-locator"]["schema-name"] for rule in rules] == list(names.values())
    assert [rule["rule-id"] for rule in rules] == ["1", "2", "3", "4", "5"]
    assert len({rule["rule-name"] for rule in rules}) == 5


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_a_schema_that_is_not_given_has_no_rule(properties: Callable[..., Any], number: int) -> None:
    rules = mappings(properties, **{f"SchemaName{number}": "ledger"})
    assert [rule["object-locator"]["schema-name"] for rule in rules] == ["payments", "ledger"]
    assert [rule["rule-id"] for rule in rules] == ["1", str(number)]


def test_an_underscore_in_a_schemas_name_is_no_wildcard(properties: Callable[..., Any]) -> None:
    (rule,) = mappings(properties, SchemaName1="card_payments")
    assert rule["object-locator"]["schema-name"] == "card[_]payments"


@pytest.mark.parametrize("parameter", [f"SchemaName{number}" for number in range(1, 6)])
@pytest.mark.parametrize(
    "name",
    [
        *("%", "pay%", "pg_catalog", "pg_temp", "information_schema", "a.b", 'a"b', "a b", "1st", "x" * 64),
        *("a\\b", "a[b]", "a,b", "a\nb", "-a", "$a"),
    ],
)
def test_a_schema_that_takes_more_than_itself_is_refused(built: dict[str, Any], parameter: str, name: str) -> None:
    assert not matches(built, parameter, name)


@pytest.mark.parametrize(
    "name",
    [
        *("payments", "Payments", "card_payments", "pgbouncer", "information_schemas", "a-b$1"),
        *("_archive", "__", "zählung", "платежи", "支払"),
    ],
)
def test_an_ordinary_schema_is_taken(built: dict[str, Any], name: str) -> None:
    assert matches(built, "SchemaName1", name)


def test_the_first_schema_has_to_be_named_and_the_others_may_stay_empty(built: dict[str, Any]) -> None:
    assert [matches(built, f"SchemaName{number}", "") for number in range(1, 6)] == [False, True, True, True, True]


def test_an_underscore_at_the_beginning_of_a_schemas_name_is_no_wildcard_either(properties: Callable[..., Any]) -> None:
    (rule,) = mappings(properties, SchemaName1="_archive")
    assert rule["object-locator"]["schema-name"] == "[_]archive"


def test_a_schema_beyond_ascii_stands_in_the_mapping_as_it_is_called(properties: Callable[..., Any]) -> None:
    (rule,) = mappings(properties, SchemaName1="платежи")
    assert rule["object-locator"]["schema-name"] == "платежи"


# The rules of single tables

AUDIT = {"schema-name": "payments", "table-name": "audit[_]archive"}
DOCUMENTS = {"schema-name": "payments", "table-name": "documents"}
EXCLUDE = {
    "rule-type": "selection",
    "rule-id": "10",
    "rule-name": "no audit archive",
    "object-locator": AUDIT,
    "rule-action": "exclude",
}
LIMITED = {
    "rule-type": "table-settings",
    "rule-id": "11",
    "rule-name": "documents",
    "object-locator": DOCUMENTS,
    "lob-settings": {"mode": "limited", "bulk-max-size": "192"},
}
UNLIMITED = LIMITED | {"lob-settings": {"mode": "unlimited", "bulk-max-size": "0"}}
GENERATED = {
    "rule-type": "transformation",
    "rule-id": "12",
    "rule-name": "counters.twice",
    "rule-target": "column",
    "object-locator": {"schema-name": "payments", "table-name": "counters", "column-name": "twice"},
    "rule-action": "remove-column",
}


def joined(*rules: dict[str, Any], compact: bool = False) -> str:
    """Rules as the parameter has them."""
    return json.dumps(rules, separators=(",", ":") if compact else None)[1:-1]


@pytest.mark.parametrize("compact", [True, False])
def test_rules_of_single_tables_follow_those_of_the_schemas(
    built: dict[str, Any], properties: Callable[..., Any], compact: bool
) -> None:
    given = joined(EXCLUDE, LIMITED, GENERATED, compact=compact)
    assert matches(built, "TableRules", given)
    assert mappings(properties, TableRules=given)[1:] == [EXCLUDE, LIMITED, GENERATED]


def test_a_table_may_have_its_large_values_whole_whatever_their_size(built: dict[str, Any]) -> None:
    assert matches(built, "TableRules", joined(UNLIMITED))


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(EXCLUDE | {"rule-action": "include"}, id="schemas_say_what_is_included"),
        pytest.param(EXCLUDE | {"rule-id": "5"}, id="the_id_of_a_schemas_rule"),
        pytest.param(EXCLUDE | {"rule-id": 10}, id="an_id_that_is_no_text"),
        pytest.param(EXCLUDE | {"object-locator": {"schema-name": "payments"}}, id="no_table"),
        pytest.param({key: EXCLUDE[key] for key in EXCLUDE if key != "rule-name"}, id="no_name"),
        pytest.param(LIMITED | {"lob-settings": {"mode": "limited", "bulk-max-size": "0"}}, id="limited_to_nothing"),
        pytest.param(LIMITED | {"lob-settings": {"mode": "limited"}}, id="limited_without_a_size"),
        pytest.param(GENERATED | {"rule-action": "rename", "value": "x"}, id="another_transformation"),
        pytest.param(GENERATED | {"rule-target": "table"}, id="a_whole_table_removed"),
        pytest.param(GENERATED | {"object-locator": {**AUDIT, "column-name": 'a"b'}}, id="a_quote_in_a_name"),
    ],
)
def test_a_rule_that_does_something_else_is_refused_before_dms_reads_it(
    built: dict[str, Any], rule: dict[str, Any]
) -> None:
    assert not matches(built, "TableRules", joined(rule))
    assert not matches(built, "TableRules", joined(EXCLUDE, rule))


@pytest.mark.parametrize(
    "text", ["payments.audit", json.dumps([EXCLUDE]), joined(EXCLUDE) + ",", joined(EXCLUDE) + joined(LIMITED)]
)
def test_what_is_no_list_of_rules_is_refused(built: dict[str, Any], text: str) -> None:
    assert not matches(built, "TableRules", text)


def test_the_longest_parameter_of_rules_is_read_in_no_time(built: dict[str, Any]) -> None:
    rules = [EXCLUDE | {"rule-id": str(number)} for number in range(10, 34)]
    assert matches(built, "TableRules", joined(*rules))
    assert not matches(built, "TableRules", joined(*rules, EXCLUDE | {"rule-action": "include"}))
    assert len(joined(*rules)) > 3600


# The beginning


def test_the_task_loads_and_goes_on_and_cannot_be_loaded_anew_by_an_update(properties: Callable[..., Any]) -> None:
    task = properties("ReplicationTask")
    assert task["MigrationType"] == "full-load-and-cdc"
    assert task["SourceEndpointArn"] == "${SourceEndpoint}"
    assert task["TargetEndpointArn"] == "${TargetEndpoint}"
    assert task["ReplicationInstanceArn"] == "${ReplicationInstance}"
    assert {"CdcStartTime", "CdcStartPosition", "CdcStopPosition"} & set(task) == set()
    assert "SlotName" not in properties("SourceEndpoint")["PostgreSqlSettings"]


def test_after_a_load_by_other_means_the_task_begins_at_the_position_of_the_slot(
    properties: Callable[..., Any],
) -> None:
    given = {"SourceSlotName": "copied", "CdcStartPosition": "4AF/B00000D0"}
    task = properties("ReplicationTask", **given)
    assert (task["MigrationType"], task["CdcStartPosition"]) == ("cdc", "4AF/B00000D0")
    assert properties("SourceEndpoint", **given)["PostgreSqlSettings"]["SlotName"] == "copied"


@pytest.mark.parametrize("given", [{"SourceSlotName": "copied"}, {"CdcStartPosition": "4AF/B00000D0"}])
def test_a_slot_without_a_position_is_refused_and_a_position_without_a_slot(
    with_parameters: Callable[..., Evaluated], given: dict[str, str]
) -> None:
    (sentence,) = with_parameters(**given).failed_rules
    assert sentence.startswith("SourceSlotName and CdcStartPosition belong together")


def settings(properties: Callable[..., Any], **given: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(properties("ReplicationTask", **given)["ReplicationTaskSettings"])
    return parsed


def test_rows_are_validated_and_the_task_writes_a_log(properties: Callable[..., Any]) -> None:
    found = settings(properties)
    assert found["ValidationSettings"]["EnableValidation"] is True
    assert found["Logging"]["EnableLogging"] is True


def test_large_values_are_carried_whole(properties: Callable[..., Any]) -> None:
    metadata = settings(properties)["TargetMetadata"]
    assert metadata["SupportLobs"] is True
    assert metadata["FullLobMode"] is True
    assert metadata["LimitedSizeLobMode"] is False


DOCUMENTED = {
    "TargetMetadata": """TargetSchema SupportLobs FullLobMode LobChunkSize InlineLobMaxSize LimitedSizeLobMode
        LobMaxSize LoadMaxFileSize BatchApplyEnabled ParallelLoadThreads ParallelLoadBufferSize
        ParallelLoadQueuesPerThread ParallelApplyThreads ParallelApplyBufferSize ParallelApplyQueuesPerThread
        TaskRecoveryTableEnabled""",
    "FullLoadSettings": """TargetTablePrepMode CreatePkAfterFullLoad StopTaskCachedChangesApplied
        StopTaskCachedChangesNotApplied MaxFullLoadSubTasks TransactionConsistencyTimeout CommitRate""",
    "Logging": "EnableLogging EnableLogContext LogComponents",
    "ControlTablesSettings": """ControlSchema HistoryTimeslotInMinutes HistoryTableEnabled SuspendedTablesTableEnabled
        StatusTableEnabled FullLoadExceptionTableEnabled""",
    "StreamBufferSettings": "StreamBufferCount StreamBufferSizeInMB CtrlStreamBufferSizeInMB",
    "ChangeProcessingTuning": """BatchApplyPreserveTransaction BatchApplyTimeoutMin BatchApplyTimeoutMax
        BatchApplyMemoryLimit BatchSplitSize MinTransactionSize CommitTimeout MemoryLimitTotal MemoryKeepTime
        StatementCacheSize""",
    "ValidationSettings": """EnableValidation ValidationMode ThreadCount PartitionSize FailureMaxCount
        RecordFailureDelayInMinutes RecordFailureDelayLimitInMinutes RecordSuspendDelayInMinutes MaxKeyColumnSize
        TableFailureMaxCount ValidationOnly HandleCollationDiff SkipLobColumns ValidationPartialLobSize
        ValidationQueryCdcDelaySeconds""",
    "ErrorBehavior": """DataErrorPolicy EventErrorPolicy DataTruncationErrorPolicy DataMaskingErrorPolicy
        DataErrorEscalationPolicy DataErrorEscalationCount TableErrorPolicy TableErrorEscalationPolicy
        TableErrorEscalationCount RecoverableErrorCount RecoverableErrorInterval RecoverableErrorThrottling
        RecoverableErrorThrottlingMax RecoverableErrorStopRetryAfterThrottlingMax ApplyErrorDeletePolicy
        ApplyErrorInsertPolicy ApplyErrorUpdatePolicy ApplyErrorEscalationPolicy ApplyErrorEscalationCount
        ApplyErrorFailOnTruncationDdl FullLoadIgnoreConflicts FailOnTransactionConsistencyBreached
        FailOnNoTablesCaptured""",
    "ChangeProcessingDdlHandlingPolicy": """HandleSourceTableDropped HandleSourceTableTruncated
        HandleSourceTableAltered""",
}
"""{section: its settings} (DMS user guide, "Specifying task settings for AWS Database Migration Service tasks", the
example and the page of each section). DMS passes over what it does not know."""


def test_every_setting_is_one_that_dms_documents(properties: Callable[..., Any]) -> None:
    found = settings(properties)
    assert set(found) - set(DOCUMENTED) == set()
    unknown = {section: set(keys) - set(DOCUMENTED[section].split()) for section, keys in found.items()}
    assert [(section, keys) for section, keys in unknown.items() if keys] == []


def test_the_changes_of_a_table_that_loads_are_no_conflict_and_those_after_it_are(
    properties: Callable[..., Any],
) -> None:
    behaviour = settings(properties)["ErrorBehavior"]
    assert behaviour["FullLoadIgnoreConflicts"] is True
    assert behaviour["ApplyErrorInsertPolicy"] == "STOP_TASK"


def test_a_network_that_is_away_for_days_is_tried_again_for_days(properties: Callable[..., Any]) -> None:
    behaviour = settings(properties)["ErrorBehavior"]
    assert behaviour["RecoverableErrorCount"] == -1
    assert behaviour["RecoverableErrorStopRetryAfterThrottlingMax"] is False


def test_a_table_that_is_truncated_stops_the_task_since_the_target_keeps_its_rows(
    properties: Callable[..., Any],
) -> None:
    assert settings(properties)["ErrorBehavior"]["ApplyErrorFailOnTruncationDdl"] is True


def test_numbers_without_a_precision_travel_whole_by_an_attribute_that_both_ends_have(
    properties: Callable[..., Any],
) -> None:
    attributes = [set(properties(f"{side}Endpoint")["ExtraConnectionAttributes"].split(";")) for side in SIDES]
    assert set.intersection(*attributes) == {"mapUnboundedNumericAsString=true"}


def test_a_varchar_without_a_length_travels_as_long_as_dms_lets_it(properties: Callable[..., Any]) -> None:
    attributes = properties("SourceEndpoint")["ExtraConnectionAttributes"].split(";")
    assert "unboundedVarcharMaxSize=10485760" in attributes


def test_a_value_above_the_limit_of_its_table_stops_the_task_and_is_not_cut(properties: Callable[..., Any]) -> None:
    assert properties("SourceEndpoint")["PostgreSqlSettings"]["FailTasksOnLobTruncation"] is True


def test_no_attribute_of_an_endpoint_is_given_twice(properties: Callable[..., Any]) -> None:
    """DMS keeps properties and attributes in one list."""
    for side in SIDES:
        endpoint = properties(f"{side}Endpoint")
        names = [each.partition("=")[0].lower() for each in endpoint["ExtraConnectionAttributes"].split(";")]
        both = itertools.chain(names, (name.lower() for name in endpoint["PostgreSqlSettings"]))
        assert len(set(both)) == len(names) + len(endpoint["PostgreSqlSettings"])


@pytest.mark.parametrize(
    ("given", "allowed"), [({}, "false"), ({"ReplicationAllowMajorVersionUpgrade": "true"}, "true")]
)
def test_another_major_version_of_dms_is_allowed_where_somebody_says_so(
    properties: Callable[..., Any], given: dict[str, str], allowed: str
) -> None:
    assert properties("ReplicationInstance", **given)["AllowMajorVersionUpgrade"] == allowed


def test_a_row_that_cannot_be_written_stops_the_task_and_is_not_left_out(properties: Callable[..., Any]) -> None:
    behaviour = settings(properties)["ErrorBehavior"]
    assert {value for name, value in behaviour.items() if name.endswith("Policy")} == {"STOP_TASK"}
    assert behaviour["FailOnNoTablesCaptured"] is True


@pytest.mark.parametrize("preparation", ["DO_NOTHING", "TRUNCATE_BEFORE_LOAD", "DROP_AND_CREATE"])
def test_tables_of_the_target_are_prepared_as_the_user_says(properties: Callable[..., Any], preparation: str) -> None:
    found = settings(properties, TargetTablePreparation=preparation)
    assert found["FullLoadSettings"]["TargetTablePrepMode"] == preparation


def test_tables_of_the_target_are_left_alone_unless_the_user_says_otherwise(properties: Callable[..., Any]) -> None:
    assert settings(properties)["FullLoadSettings"]["TargetTablePrepMode"] == "DO_NOTHING"


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
    }


def test_the_way_is_proven_and_the_user_is_there_before_dms_needs_them() -> None:
    assert {"connectivity", "database_users"} <= set(catalog.load("migration").after)
