"""The database layer: a private, encrypted PostgreSQL whose data outlives the stack, and both secrets attached."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from ministack.core import iam_evaluator

from builders.evaluate import EXAMPLE_ACCOUNT as HERE, Evaluated, evaluate

GIVEN = {"EnvironmentSuffix": "dev", "MigrationPhase": "dev", "CostCenter": "payments"}
ELSEWHERE = "2" * 12
KEY = "arn:of:the:key"
IMPORTS = {
    "foundation-KmsKeyArn-dev": KEY,
    "network-PrivateSubnetIds-dev": "subnet-a,subnet-b,subnet-c",
    "network-DatabaseSecurityGroupId-dev": "sg-database",
    "secrets-SecretsManagerArn-dev": "arn:of:the:master",
    "secrets-DmsSecretArn-dev": "arn:of:dms",
}


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Callable[..., Evaluated]:
    """Evaluates the layer with parameters of one's choice."""
    return lambda **chosen: evaluate(template("database"), GIVEN | chosen, imports=IMPORTS)


@pytest.fixture
def instance(deploy: Callable[..., Evaluated]) -> Callable[..., dict[str, Any]]:
    """The properties of the instance with parameters of one's choice."""

    def properties(**chosen: str) -> dict[str, Any]:
        found: dict[str, Any] = deploy(**chosen).resources["Database"]["Properties"]
        return found

    return properties


@pytest.fixture
def pattern(template: Callable[[str], dict[str, Any]]) -> Callable[[str], re.Pattern[str]]:
    """The pattern of a parameter, by its name."""
    return lambda name: re.compile(template("database")["Parameters"][name]["AllowedPattern"])


@pytest.fixture
def settings(deploy: Callable[..., Evaluated]) -> dict[str, str]:
    """The server's own settings."""
    found: dict[str, str] = deploy().resources["ServerSettings"]["Properties"]["Parameters"]
    return found


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("database")


# Private and encrypted


def test_the_database_lies_in_every_private_subnet_that_the_network_gives(deploy: Callable[..., Evaluated]) -> None:
    group = deploy().resources["DatabaseSubnets"]["Properties"]
    assert group["SubnetIds"] == ["subnet-a", "subnet-b", "subnet-c"]
    assert deploy().resources["Database"]["Properties"]["DBSubnetGroupName"] == "${DatabaseSubnets}"


def test_the_database_is_out_of_reach_of_the_internet(instance: Callable[..., dict[str, Any]]) -> None:
    assert instance()["PubliclyAccessible"] is False
    assert instance()["VPCSecurityGroups"] == ["sg-database"]


@pytest.mark.parametrize(("mode", "days"), [("standard", 7), ("advanced", 465)])
def test_database_insights_keep_as_many_days_as_their_mode_asks_for(
    instance: Callable[..., dict[str, Any]], mode: str, days: int
) -> None:
    database = instance(DatabaseInsightsMode=mode)
    assert (database["DatabaseInsightsMode"], database["PerformanceInsightsRetentionPeriod"]) == (mode, days)


def test_storage_and_database_insights_are_encrypted_with_the_key_of_the_phase(
    instance: Callable[..., dict[str, Any]],
) -> None:
    database = instance()
    assert (database["StorageEncrypted"], database["KmsKeyId"]) == (True, KEY)
    assert (database["EnablePerformanceInsights"], database["PerformanceInsightsKMSKeyId"]) == (True, KEY)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("rds.force_ssl", "1"),
        ("rds.accepted_password_auth_method", "scram"),
        ("password_encryption", "scram-sha-256"),
    ],
)
def test_only_tls_and_scram_let_a_client_in(settings: dict[str, str], setting: str, value: str) -> None:
    assert settings[setting] == value


def test_the_database_can_feed_the_old_one_after_the_cut_over(settings: dict[str, str]) -> None:
    assert settings["rds.logical_replication"] == "1"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("log_statement", "none"),
        ("log_min_duration_statement", "-1"),
        ("log_min_error_statement", "panic"),
        ("log_error_verbosity", "terse"),
    ],
)
def test_no_statement_with_a_password_or_a_card_number_is_ever_logged(
    settings: dict[str, str], setting: str, value: str
) -> None:
    assert settings[setting] == value


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        # Without pg_stat_statements, which RDS loads by default, Database Insights would lose its statistics.
        ("shared_preload_libraries", "pg_stat_statements,pgaudit"),
        ("pgaudit.log", "role,ddl"),
        ("pgaudit.log_parameter", "0"),
        ("pgaudit.role", "rds_pgaudit"),
    ],
)
def test_changes_of_roles_and_definitions_are_audited_without_the_values_of_parameters(
    settings: dict[str, str], setting: str, value: str
) -> None:
    assert settings[setting] == value


def test_the_certificate_authority_is_the_one_that_clients_are_shipped_with(
    instance: Callable[..., dict[str, Any]],
) -> None:
    assert instance()["CACertificateIdentifier"] == "rds-ca-rsa2048-g1"


# The password


def test_user_and_password_are_read_from_the_secret_while_deploying(instance: Callable[..., dict[str, Any]]) -> None:
    database = instance()
    assert database["MasterUsername"] == "{{resolve:secretsmanager:arn:of:the:master:SecretString:username}}"
    assert database["MasterUserPassword"] == "{{resolve:secretsmanager:arn:of:the:master:SecretString:password}}"
    assert "ManageMasterUserPassword" not in database


def test_no_parameter_takes_a_password(template: Callable[[str], dict[str, Any]]) -> None:
    parameters = template("database")["Parameters"]
    assert [name for name, body in parameters.items() if "NoEcho" in body or "password" in name.lower()] == []


@pytest.mark.parametrize(
    ("attachment", "secret"), [("SecretAttachment", "arn:of:the:master"), ("DmsSecretAttachment", "arn:of:dms")]
)
def test_both_secrets_learn_host_and_port_from_the_instance(
    deploy: Callable[..., Evaluated], attachment: str, secret: str
) -> None:
    assert deploy().resources[attachment]["Properties"] == {
        "SecretId": secret,
        "TargetId": "${Database}",
        "TargetType": "AWS::RDS::DBInstance",
    }


# What outlives the stack


def test_deleting_or_replacing_the_database_leaves_a_snapshot_and_its_backups(
    deploy: Callable[..., Evaluated],
) -> None:
    database = deploy().resources["Database"]
    assert (database["DeletionPolicy"], database["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")
    assert database["Properties"]["DeleteAutomatedBackups"] is False
    assert database["Properties"]["CopyTagsToSnapshot"] is True


def test_the_instance_is_named_so_that_nothing_replaces_it(instance: Callable[..., dict[str, Any]]) -> None:
    assert instance()["DBInstanceIdentifier"] == "stackferry-database-dev"


@pytest.mark.parametrize(
    ("logical_id", "name"),
    [
        ("ServerSettings", "DBParameterGroupName"),
        ("DatabaseSubnets", "DBSubnetGroupName"),
        ("MonitoringRole", "RoleName"),
    ],
)
def test_what_an_upgrade_or_a_second_deployment_replaces_has_no_name(
    deploy: Callable[..., Evaluated], logical_id: str, name: str
) -> None:
    assert name not in deploy().resources[logical_id]["Properties"]


# Logs


def test_every_exported_log_has_an_encrypted_group_before_the_database_writes_into_it(
    deploy: Callable[..., Evaluated],
) -> None:
    evaluated = deploy()
    database = evaluated.resources["Database"]
    ready = {
        evaluated.resources[logical_id]["Properties"]["LogGroupName"]: evaluated.resources[logical_id]["Properties"]
        for logical_id in database["DependsOn"]
    }
    exported = database["Properties"]["EnableCloudwatchLogsExports"]
    assert exported == ["postgresql", "upgrade", "iam-db-auth-error"]
    assert list(ready) == [f"/aws/rds/instance/stackferry-database-dev/{log}" for log in exported]
    assert {(group["KmsKeyId"], group["RetentionInDays"]) for group in ready.values()} == {(KEY, "400")}


@pytest.mark.parametrize("group", ["PostgresqlLogs", "UpgradeLogs", "LoginLogs"])
def test_log_groups_go_with_the_stack_since_their_names_are_given_by_rds(
    deploy: Callable[..., Evaluated], group: str
) -> None:
    assert deploy().resources[group]["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize("protection", ["true", "false"])
@pytest.mark.parametrize("group", ["PostgresqlLogs", "UpgradeLogs", "LoginLogs"])
def test_deletion_protection_covers_the_logs_too(deploy: Callable[..., Evaluated], group: str, protection: str) -> None:
    resources = deploy(DeletionProtection=protection).resources
    assert resources[group]["Properties"]["DeletionProtectionEnabled"] == protection
    assert resources["Database"]["Properties"]["DeletionProtection"] == protection


# Cheap by default, safe where an environment says so


def test_a_test_environment_is_cheap_and_quick_to_tear_down(instance: Callable[..., dict[str, Any]]) -> None:
    chosen = ("MultiAZ", "BackupRetentionPeriod", "DeletionProtection", "DBInstanceClass", "AllocatedStorage")
    assert [instance()[name] for name in chosen] == ["false", "1", "false", "db.t4g.micro", "20"]


def test_production_gets_a_standby_and_35_days_of_backups(instance: Callable[..., dict[str, Any]]) -> None:
    production = instance(
        MultiAZ="true", BackupRetentionDays="35", DeletionProtection="true", DatabaseInstanceClass="db.r7g.large"
    )
    chosen = ("MultiAZ", "BackupRetentionPeriod", "DeletionProtection", "DBInstanceClass")
    assert [production[name] for name in chosen] == ["true", "35", "true", "db.r7g.large"]


def test_storage_grows_up_to_the_limit(instance: Callable[..., dict[str, Any]]) -> None:
    assert instance()["MaxAllocatedStorage"] == "100"


def test_storage_stays_where_the_limit_is_zero(instance: Callable[..., dict[str, Any]]) -> None:
    assert "MaxAllocatedStorage" not in instance(MaxAllocatedStorageGiB="0")


def test_a_limit_that_leaves_no_room_to_grow_is_refused(deploy: Callable[..., Evaluated]) -> None:
    (message,) = deploy(AllocatedStorageGiB="100", MaxAllocatedStorageGiB="100").failed_rules
    assert message.startswith("MaxAllocatedStorageGiB equals AllocatedStorageGiB")


def test_the_default_sizes_break_no_rule(deploy: Callable[..., Evaluated]) -> None:
    assert deploy().failed_rules == ()


def test_the_database_listens_on_the_port_that_the_network_opens(instance: Callable[..., dict[str, Any]]) -> None:
    assert instance(DatabasePort="6432")["Port"] == "6432"


# Upgrades


@pytest.mark.parametrize(
    ("version", "family"), [("17", "postgres17"), ("17.6", "postgres17"), ("18", "postgres18"), ("15.12", "postgres15")]
)
def test_the_settings_follow_the_major_version(deploy: Callable[..., Evaluated], version: str, family: str) -> None:
    resources = deploy(EngineVersion=version).resources
    assert resources["Database"]["Properties"]["EngineVersion"] == version
    assert resources["ServerSettings"]["Properties"]["Family"] == family


def test_the_default_is_17_and_its_minor_versions_come_by_themselves(
    instance: Callable[..., dict[str, Any]],
) -> None:
    assert instance()["EngineVersion"] == "17"
    assert instance()["AutoMinorVersionUpgrade"] is True


@pytest.mark.parametrize("allowed", ["true", "false"])
def test_a_major_upgrade_needs_a_second_key(instance: Callable[..., dict[str, Any]], allowed: str) -> None:
    assert instance(AllowMajorVersionUpgrade=allowed)["AllowMajorVersionUpgrade"] == allowed


def test_nobody_is_enrolled_into_paid_extended_support(instance: Callable[..., dict[str, Any]]) -> None:
    assert instance()["EngineLifecycleSupport"] == "open-source-rds-extended-support-disabled"


@pytest.mark.parametrize("version", ["14", "17.", "seventeen", "9.6", "", "17.1.2"])
def test_a_version_that_rds_does_not_have_is_refused(pattern: Callable[[str], re.Pattern[str]], version: str) -> None:
    assert not pattern("EngineVersion").fullmatch(version)


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("BackupWindow", "23:30-00:15", "24:00-25:00"),
        ("MaintenanceWindow", "sat:23:30-sun:00:30", "sunday:04:00-sunday:05:00"),
        ("DatabaseInstanceClass", "db.r7g.16xlarge", "t4g.micro"),
        ("DatabaseName", "payments_2", "2payments"),
    ],
)
def test_a_malformed_choice_is_refused_before_rds_sees_it(
    pattern: Callable[[str], re.Pattern[str]], parameter: str, good: str, bad: str
) -> None:
    assert pattern(parameter).fullmatch(good)
    assert not pattern(parameter).fullmatch(bad)


# Enhanced monitoring


def test_enhanced_monitoring_has_a_role_of_its_own(deploy: Callable[..., Evaluated]) -> None:
    resources = deploy(MonitoringIntervalSeconds="15").resources
    assert resources["Database"]["Properties"]["MonitoringInterval"] == "15"
    assert resources["Database"]["Properties"]["MonitoringRoleArn"] == "${MonitoringRole.Arn}"
    assert resources["MonitoringRole"]["Properties"]["ManagedPolicyArns"] == [
        "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
    ]


def test_without_enhanced_monitoring_there_is_no_role_which_rds_would_refuse(
    deploy: Callable[..., Evaluated],
) -> None:
    resources = deploy(MonitoringIntervalSeconds="0").resources
    assert "MonitoringRole" not in resources
    assert "MonitoringRoleArn" not in resources["Database"]["Properties"]


@pytest.mark.parametrize(
    ("service", "account", "arn", "decision"),
    [
        ("monitoring.rds.amazonaws.com", HERE, f"{HERE}:db:stackferry-database-dev", "Allow"),
        ("monitoring.rds.amazonaws.com", HERE, f"{HERE}:db:somebody-elses", "ImplicitDeny"),
        ("monitoring.rds.amazonaws.com", HERE, f"{ELSEWHERE}:db:stackferry-database-dev", "ImplicitDeny"),
        ("monitoring.rds.amazonaws.com", ELSEWHERE, f"{HERE}:db:stackferry-database-dev", "ImplicitDeny"),
        ("rds.amazonaws.com", HERE, f"{HERE}:db:stackferry-database-dev", "ImplicitDeny"),
    ],
)
def test_only_rds_for_this_very_instance_may_wear_the_role(
    deploy: Callable[..., Evaluated], service: str, account: str, arn: str, decision: str
) -> None:
    trust = deploy().resources["MonitoringRole"]["Properties"]["AssumeRolePolicyDocument"]
    # A trust has no resource: it is about the role that carries it.
    about_itself = {"Statement": [{**statement, "Resource": "*"} for statement in trust["Statement"]]}
    request = iam_evaluator.EvalContext(
        principal_arn="",
        principal_type="AssumedRole",
        principal_account="",
        action="sts:AssumeRole",
        resource_arn="*",
        region="us-east-1",
        service_context={"aws:sourceaccount": account, "aws:sourcearn": f"arn:aws:rds:us-east-1:{arn}"},
    )
    assert iam_evaluator.evaluate_resource_policy(about_itself, request, service=service).decision == decision


# What others rely on


def test_the_outside_world_and_later_layers_find_the_database(deploy: Callable[..., Evaluated]) -> None:
    assert deploy().outputs == {
        "RdsEndpoint": "${Database.Endpoint.Address}",
        "RdsPort": "${Database.Endpoint.Port}",
        "DatabaseInstanceIdentifier": "${Database}",
        "DatabaseName": "payments",
        "SecretAttachmentId": "${SecretAttachment}",
        "DmsSecretAttachmentId": "${DmsSecretAttachment}",
    }
