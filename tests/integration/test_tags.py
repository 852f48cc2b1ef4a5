"""Tags, asked of the services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

KEYS = {"Name", "Environment", "MigrationPhase", "CostCenter", "ComplianceScope"}


def missing(tags: Iterable[Mapping[str, str]], key: str = "Key") -> set[str]:
    return KEYS - {tag[key] for tag in tags}


@pytest.mark.parametrize("kind", ["subnets", "route_tables", "network_acls", "security_groups", "vpc_endpoints"])
def test_everything_in_the_vpc_is_tagged(client: Any, vpc_filter: list[Any], kind: str) -> None:
    answer = getattr(client("ec2"), f"describe_{kind}")(Filters=vpc_filter)
    (things,) = (value for key, value in answer.items() if key != "ResponseMetadata")
    # AWS makes a default group, ACL and table with every VPC; nothing of ours uses them.
    ours = [thing for thing in things if not _is_default(thing)]
    assert ours
    assert [thing for thing in ours if missing(thing["Tags"])] == []


def test_the_database_the_secrets_the_key_and_the_topic_are_tagged(
    client: Any, outputs: dict[str, str], database: dict[str, Any]
) -> None:
    untagged = {
        "database": missing(database["TagList"]),
        "secret": missing(client("secretsmanager").describe_secret(SecretId=outputs["secretsManagerArn"])["Tags"]),
        "key": missing(client("kms").list_resource_tags(KeyId=outputs["kmsKeyId"])["Tags"], "TagKey"),
        "topic": missing(client("sns").list_tags_for_resource(ResourceArn=outputs["notificationTopicArn"])["Tags"]),
    }
    assert untagged == {"database": set(), "secret": set(), "key": set(), "topic": set()}


def _is_default(thing: Mapping[str, Any]) -> bool:
    associations = thing.get("Associations", [])
    is_main_table = any(association.get("Main") for association in associations)
    return bool(thing.get("IsDefault") or thing.get("GroupName") == "default" or is_main_table)
