"""The database that was really made, its key and its secrets."""

from __future__ import annotations

import re
from typing import Any


def test_the_subnet_group_is_not_empty_and_holds_the_private_subnets(
    database: dict[str, Any], outputs: dict[str, str]
) -> None:
    group = database["DBSubnetGroup"]
    assert {subnet["SubnetIdentifier"] for subnet in group["Subnets"]} == set(outputs["privateSubnetIds"].split(","))
    assert group["VpcId"] == outputs["vpcId"]


def test_the_database_is_encrypted_with_the_phases_key(database: dict[str, Any], outputs: dict[str, str]) -> None:
    assert database["StorageEncrypted"] is True
    assert database["KmsKeyId"].endswith(outputs["kmsKeyId"])


def test_the_database_is_private(database: dict[str, Any], outputs: dict[str, str]) -> None:
    assert database["PubliclyAccessible"] is False
    groups = {group["VpcSecurityGroupId"] for group in database["VpcSecurityGroups"]}
    assert groups == {outputs["databaseSecurityGroupId"]}


def test_the_database_answers_at_the_endpoint_in_the_outputs(database: dict[str, Any], outputs: dict[str, str]) -> None:
    assert database["Endpoint"]["Address"] == outputs["rdsEndpoint"]
    assert str(database["Endpoint"]["Port"]) == outputs["rdsPort"]


def test_the_database_logs_and_is_backed_up(database: dict[str, Any]) -> None:
    assert set(database["EnabledCloudwatchLogsExports"]) == {"postgresql", "upgrade", "iam-db-auth-error"}
    assert database["BackupRetentionPeriod"] >= 1


def test_the_database_speaks_tls_only(client: Any, database: dict[str, Any]) -> None:
    name = database["DBParameterGroups"][0]["DBParameterGroupName"]
    pages = client("rds").get_paginator("describe_db_parameters").paginate(DBParameterGroupName=name, Source="user")
    set_by_us = {item["ParameterName"]: item["ParameterValue"] for page in pages for item in page["Parameters"]}
    assert set_by_us["rds.force_ssl"] == "1"
    assert set_by_us["rds.accepted_password_auth_method"] == "scram"


def test_the_password_was_generated_by_the_rules(secret: dict[str, Any]) -> None:
    password = secret["password"]
    # Facts alone are compared, so that no failure shows the password.
    facts = (len(password), re.search(r"""[;.:+/@"'\\% ]""", password) is None, len(set(password)) > 10)
    assert facts == (32, True, True)


def test_the_secret_knows_where_its_database_is(secret: dict[str, Any], outputs: dict[str, str]) -> None:
    where = {key: str(secret[key]) for key in ("engine", "host", "port")}
    assert where == {"engine": "postgres", "host": outputs["rdsEndpoint"], "port": outputs["rdsPort"]}
    assert secret["username"] not in ("postgres", "admin")


def test_the_secrets_are_encrypted_with_the_phases_key(client: Any, outputs: dict[str, str]) -> None:
    for arn in (outputs["secretsManagerArn"], outputs["dmsSecretArn"]):
        assert client("secretsmanager").describe_secret(SecretId=arn)["KmsKeyId"].endswith(outputs["kmsKeyId"])


def test_the_key_rotates(client: Any, outputs: dict[str, str]) -> None:
    assert client("kms").get_key_rotation_status(KeyId=outputs["kmsKeyId"])["KeyRotationEnabled"] is True


def test_the_topic_is_encrypted_with_the_phases_key(client: Any, outputs: dict[str, str]) -> None:
    attributes = client("sns").get_topic_attributes(TopicArn=outputs["notificationTopicArn"])["Attributes"]
    assert attributes["KmsMasterKeyId"].endswith(outputs["kmsKeyId"])
