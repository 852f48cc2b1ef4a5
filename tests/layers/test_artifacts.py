"""The artifacts layer: who reads the packages, what the bucket is called, and what becomes of old ones.

The policy is asked, not read: the emulator's IAM evaluator decides each call as AWS documents it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ministack.core import iam_evaluator

from builders import environments
from builders.evaluate import EXAMPLE_ACCOUNT as HERE, Evaluated, evaluate
from builders.naming import SUFFIX_MAX_LENGTH

Deploy = Callable[..., Evaluated]

ORGANIZATION, OTHER_ORGANIZATION = "o-a1b2c3d4e5", "o-z9y8x7w6v5"
READER, SECOND_READER, STRANGER = "2" * 12, "3" * 12, "4" * 12
OF_ORGANIZATION = {"OrganizationId": ORGANIZATION}
OF_ACCOUNTS = {"ReaderAccountIds": f"{READER},{SECOND_READER}"}
PACKAGE = "${Bucket.Arn}/secret_rotation/0123456789abcdef0123456789abcdef.zip"
GIVEN = {"EnvironmentSuffix": "tooling", "MigrationPhase": "tooling", "CostCenter": "payments"}
LONGEST_REGION = "ap-southeast-2"
"""Of the regions of AWS none has a longer name (AWS regions and Availability Zones, "Regions")."""


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Deploy:
    """Evaluates the layer with parameters of one's choice, for an organization unless they say otherwise."""

    def deploy(region: str = "us-east-1", **chosen: str) -> Evaluated:
        return evaluate(template("artifacts"), GIVEN | (chosen or OF_ORGANIZATION), region=region)

    return deploy


@pytest.fixture
def bucket(deploy: Deploy) -> dict[str, Any]:
    found: dict[str, Any] = deploy().resources["Bucket"]
    return found


@pytest.fixture
def decide(deploy: Deploy) -> Callable[..., str]:
    """Asks the bucket's policy about a call of a role that its own policies let do anything."""

    def decide(
        readers: dict[str, str],
        account: str,
        action: str,
        *,
        organization: str = "",
        tls: bool = True,
        resource: str = PACKAGE,
        **asked: str,
    ) -> str:
        policy = deploy(**readers).resources["BucketPolicy"]["Properties"]["PolicyDocument"]
        request = iam_evaluator.EvalContext(
            principal_arn=f"arn:aws:sts::{account}:assumed-role/Deployer/session",
            principal_type="AssumedRole",
            principal_account=account,
            action=action,
            resource_arn=resource,
            region="us-east-1",
            secure_transport=tls,
            service_context=asked | ({"aws:principalorgid": organization} if organization else {}),
        )
        return str(iam_evaluator.evaluate_resource_policy(policy, request).decision)

    return decide


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("artifacts")


@pytest.mark.parametrize(
    ("readers", "account", "organization", "decision"),
    [
        (OF_ORGANIZATION, READER, ORGANIZATION, "Allow"),
        (OF_ORGANIZATION, READER, OTHER_ORGANIZATION, "ImplicitDeny"),
        (OF_ORGANIZATION, STRANGER, "", "ImplicitDeny"),
        (OF_ACCOUNTS, READER, "", "Allow"),
        (OF_ACCOUNTS, SECOND_READER, "", "Allow"),
        (OF_ACCOUNTS, STRANGER, ORGANIZATION, "ImplicitDeny"),
        (OF_ORGANIZATION | OF_ACCOUNTS, READER, "", "Allow"),
        (OF_ORGANIZATION | OF_ACCOUNTS, STRANGER, ORGANIZATION, "Allow"),
        (OF_ORGANIZATION | OF_ACCOUNTS, STRANGER, OTHER_ORGANIZATION, "ImplicitDeny"),
    ],
)
def test_a_package_is_read_by_the_organization_and_by_the_listed_accounts_alone(
    decide: Callable[..., str], readers: dict[str, str], account: str, organization: str, decision: str
) -> None:
    assert decide(readers, account, "s3:GetObject", organization=organization) == decision
    assert decide(readers, account, "s3:GetObjectVersion", organization=organization) == decision


WRITTEN_ONCE = [
    "dev/secret_rotation/0123456789abcdef0123456789abcdef.zip",
    "rollout/content/0123abcd",
    "rollout/prod/releases/0123456789abcdef.json",
]
UNASKED: dict[str, str] = {}
ASKED = {"s3:if-none-match": "*"}


@pytest.mark.parametrize("key", WRITTEN_ONCE)
def test_not_even_an_administrator_writes_over_what_is_written_once(decide: Callable[..., str], key: str) -> None:
    """Parts of an upload and copies are PutObject too, and cannot ask."""
    written = [
        decide(OF_ACCOUNTS, HERE, "s3:PutObject", resource=f"${{Bucket.Arn}}/{key}", **a) for a in (UNASKED, ASKED)
    ]
    assert written == ["Deny", "ImplicitDeny"]


@pytest.mark.parametrize("key", WRITTEN_ONCE)
def test_not_even_an_administrator_destroys_a_version_that_a_function_or_release_names(
    decide: Callable[..., str], key: str
) -> None:
    resource = f"${{Bucket.Arn}}/{key}"
    assert decide(OF_ACCOUNTS, HERE, "s3:DeleteObjectVersion", resource=resource) == "Deny"
    assert decide(OF_ACCOUNTS, HERE, "s3:DeleteObject", resource=resource) == "ImplicitDeny"


@pytest.mark.parametrize("action", ["s3:PutObject", "s3:DeleteObjectVersion"])
def test_a_journal_is_written_as_often_as_it_changes(decide: Callable[..., str], action: str) -> None:
    assert decide(OF_ACCOUNTS, HERE, action, resource="${Bucket.Arn}/rollout/prod/run.json") == "ImplicitDeny"


@pytest.mark.parametrize(
    "action", ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutBucketPolicy", "s3:ListBucket"]
)
@pytest.mark.parametrize("readers", [OF_ORGANIZATION, OF_ACCOUNTS])
def test_a_reader_does_nothing_but_read(decide: Callable[..., str], readers: dict[str, str], action: str) -> None:
    assert decide(readers, READER, action, organization=ORGANIZATION) != "Allow"


@pytest.mark.parametrize(
    "key", ["rollout/prod/run.json", "rollout/prod/releases/0123456789ab.json", "rollout/content/0123abcd", "zip"]
)
@pytest.mark.parametrize("readers", [OF_ORGANIZATION, OF_ACCOUNTS])
def test_no_account_reads_the_state_of_rollouts(decide: Callable[..., str], readers: dict[str, str], key: str) -> None:
    """It holds the parameters of all phases."""
    resource = f"${{Bucket.Arn}}/{key}"
    assert decide(readers, READER, "s3:GetObject", organization=ORGANIZATION, resource=resource) == "ImplicitDeny"


@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:ListBucketVersions"])
@pytest.mark.parametrize("readers", [OF_ORGANIZATION, OF_ACCOUNTS])
def test_no_account_lists_the_bucket(decide: Callable[..., str], readers: dict[str, str], action: str) -> None:
    decision = decide(readers, READER, action, organization=ORGANIZATION, resource="${Bucket.Arn}")
    assert decision == "ImplicitDeny"


@pytest.mark.parametrize("account", [HERE, READER])
@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject"])
def test_without_tls_everybody_is_refused(decide: Callable[..., str], account: str, action: str) -> None:
    refused = decide(OF_ORGANIZATION | OF_ACCOUNTS, account, action, organization=ORGANIZATION, tls=False)
    assert refused == "Deny"


def test_a_bucket_without_readers_is_refused(deploy: Deploy) -> None:
    assert deploy(OrganizationId="").failed_rules == (
        "Nobody could read the packages: give OrganizationId, ReaderAccountIds or both",
    )


@pytest.mark.parametrize("readers", [OF_ORGANIZATION, OF_ACCOUNTS, OF_ORGANIZATION | OF_ACCOUNTS])
def test_one_kind_of_reader_is_enough(deploy: Deploy, readers: dict[str, str]) -> None:
    assert deploy(**readers).failed_rules == ()


def test_nothing_in_the_bucket_is_ever_public(bucket: dict[str, Any]) -> None:
    assert bucket["Properties"]["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }


def test_the_owner_of_the_bucket_owns_what_others_put_into_it(bucket: dict[str, Any]) -> None:
    assert bucket["Properties"]["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_packages_are_encrypted(bucket: dict[str, Any]) -> None:
    (rule,) = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_old_versions_expire_of_journals_alone(deploy: Deploy) -> None:
    """A release and a function name versions of packages for as long as they stand."""
    properties = deploy(OrganizationId=ORGANIZATION, OldVersionRetentionDays="30").resources["Bucket"]["Properties"]
    rules = properties["LifecycleConfiguration"]["Rules"]
    expiring = {rule.get("Prefix"): rule[key] for rule in rules for key in rule if "Expiration" in key}
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert expiring == {"rollout/": {"NoncurrentDays": "30"}}


def test_nobody_deletes_versions_for_as_long_as_the_object_lock_is_told(deploy: Deploy) -> None:
    locked, free = (
        deploy(OrganizationId=ORGANIZATION, ObjectLockDays=days).resources["Bucket"]["Properties"]
        for days in ("400", "0")
    )
    assert locked["ObjectLockEnabled"] is True
    assert locked["ObjectLockConfiguration"]["Rule"]["DefaultRetention"] == {"Mode": "GOVERNANCE", "Days": "400"}
    assert not {"ObjectLockEnabled", "ObjectLockConfiguration"} & free.keys()


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, None),
        (
            {"AccessLogsBucket": "logs-of-tooling"},
            {"DestinationBucketName": "logs-of-tooling", "LogFilePrefix": "stackferry-artifacts-tooling"},
        ),
    ],
)
def test_reads_are_logged_where_a_bucket_for_logs_is_given(
    deploy: Deploy, chosen: dict[str, str], expected: dict[str, str] | None
) -> None:
    properties = deploy(**OF_ORGANIZATION, **chosen).resources["Bucket"]["Properties"]
    assert properties.get("LoggingConfiguration") == expected


def test_the_committed_environment_logs_who_reads_and_writes_packages(
    template: Callable[[str], dict[str, Any]],
) -> None:
    values = environments.read(Path("environments/tooling.json")).values
    made = evaluate(
        template("artifacts"), {key: values[key] for key in values.keys() & template("artifacts")["Parameters"]}
    )
    assert "AccessLogs" in made.resources
    assert made.resources["Bucket"]["Properties"]["LoggingConfiguration"]["LogFilePrefix"].endswith("-tooling")


@pytest.fixture
def logs(deploy: Deploy) -> Evaluated:
    return deploy(OrganizationId=ORGANIZATION, CreateAccessLogsBucket="true")


def test_a_bucket_for_the_log_of_reads_is_made_on_demand(logs: Evaluated, deploy: Deploy) -> None:
    logging = logs.resources["Bucket"]["Properties"]["LoggingConfiguration"]
    assert logging == {"DestinationBucketName": "${AccessLogs}", "LogFilePrefix": "stackferry-artifacts-tooling"}
    assert "AccessLogs" not in deploy().resources


def test_a_bucket_of_one_s_own_choice_takes_the_log_before_one_that_would_be_made(deploy: Deploy) -> None:
    found = deploy(**OF_ORGANIZATION, AccessLogsBucket="logs-of-tooling", CreateAccessLogsBucket="true").resources
    assert found["Bucket"]["Properties"]["LoggingConfiguration"]["DestinationBucketName"] == "logs-of-tooling"
    assert "AccessLogs" not in found


def test_s3_alone_writes_the_log_and_nobody_shortens_it(logs: Evaluated) -> None:
    allowed, stays = logs.resources["AccessLogsPolicy"]["Properties"]["PolicyDocument"]["Statement"][1:]
    assert (allowed["Effect"], allowed["Principal"]) == ("Allow", {"Service": ["logging.s3.amazonaws.com"]})
    assert allowed["Condition"] == {
        "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::stackferry-{HERE}-us-east-1-tooling"},
        "StringEquals": {"aws:SourceAccount": HERE},
    }
    assert (stays["Effect"], stays["Principal"]) == ("Deny", "*")
    assert set(stays["Action"]) == {"s3:DeleteObject", "s3:DeleteObjectVersion"}


def test_the_log_of_reads_stays_for_a_year_and_outlives_its_stack(logs: Evaluated) -> None:
    made = logs.resources["AccessLogs"]
    (rule,) = made["Properties"]["LifecycleConfiguration"]["Rules"]
    assert int(rule["ExpirationInDays"]) >= 365
    assert (made["DeletionPolicy"], made["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_the_name_tells_account_region_and_suffix_apart(deploy: Deploy) -> None:
    names = {deploy(region).resources["Bucket"]["Properties"]["BucketName"] for region in ("us-east-1", "us-west-1")}
    assert names == {f"stackferry-{HERE}-us-east-1-tooling", f"stackferry-{HERE}-us-west-1-tooling"}


def test_the_name_fits_with_the_longest_suffix_and_region(deploy: Deploy) -> None:
    longest = deploy(LONGEST_REGION, **OF_ORGANIZATION, EnvironmentSuffix="s" * SUFFIX_MAX_LENGTH)
    assert len(longest.resources["Bucket"]["Properties"]["BucketName"]) <= 63


def test_an_empty_bucket_goes_with_its_stack_so_that_its_name_is_free_again(bucket: dict[str, Any]) -> None:
    """S3 refuses to delete one that holds anything."""
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Delete", "Retain")


def test_who_deploys_the_functions_finds_the_bucket_under_their_parameter_s_name(
    deploy: Deploy, template: Callable[[str], dict[str, Any]]
) -> None:
    assert deploy().outputs == {"ArtifactsBucket": "${Bucket}"}
    assert "ArtifactsBucket" in template("rotation")["Parameters"]
