"""Questions of a rollout before it changes anything: quotas, regions, current stacks, and previews of changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from dms_task import deploy as deploy_task

from builders.cloud.process import Cloud

from .conftest import Account, Template
from .stacksets.conftest import Fleet
from .test_assuming import allow, assume, make_role, session_client, trust

STACK_SETS, INSTANCES = "L-EC62D81A", "L-C8225BA5"


def refused(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_the_quotas_of_stack_sets_are_listed(account: Account) -> None:
    api = account.client("service-quotas")
    quotas = {
        each["QuotaCode"]: each["Value"] for each in api.list_service_quotas(ServiceCode="cloudformation")["Quotas"]
    }
    assert (quotas[STACK_SETS], quotas[INSTANCES]) == (1000.0, 100000.0)
    with pytest.raises(ClientError) as error:
        api.get_service_quota(ServiceCode="cloudformation", QuotaCode="L-00000000")
    assert refused(error) == "NoSuchResourceException"


def test_a_lowered_quota_is_listed_with_its_default(account: Account) -> None:
    Fleet(account.cloud, account.number).drive(StackSets=3)
    api, quota = account.client("service-quotas"), {"ServiceCode": "cloudformation", "QuotaCode": STACK_SETS}
    assert api.get_service_quota(**quota)["Quota"]["Value"] == 3.0
    assert api.get_aws_default_service_quota(**quota)["Quota"]["Value"] == 1000.0


def test_quotas_come_in_pages(account: Account) -> None:
    pages = account.client("service-quotas").get_paginator("list_service_quotas")
    found = pages.paginate(ServiceCode="cloudformation", PaginationConfig={"PageSize": 1})
    assert [len(page["Quotas"]) for page in found] == [1, 1, 1, 1]


def opt_status(account: Account, region: str) -> str:
    return str(account.client("account").get_region_opt_status(RegionName=region)["RegionOptStatus"])


def regions_of_ec2(account: Account, **request: Any) -> dict[str, str]:
    found = account.client("ec2").describe_regions(**request)["Regions"]
    return {each["RegionName"]: each["OptInStatus"] for each in found}


def test_a_region_that_must_be_opted_into_is_disabled_until_it_is_enabled(account: Account) -> None:
    assert (opt_status(account, "eu-central-1"), opt_status(account, "eu-south-1")) == (
        "ENABLED_BY_DEFAULT",
        "DISABLED",
    )
    assert "eu-south-1" not in regions_of_ec2(account)
    assert regions_of_ec2(account, AllRegions=True)["eu-south-1"] == "not-opted-in"
    account.client("account").enable_region(RegionName="eu-south-1")
    assert opt_status(account, "eu-south-1") == "ENABLED"
    assert regions_of_ec2(account)["eu-south-1"] == "opted-in"
    account.client("account").disable_region(RegionName="eu-south-1")
    assert opt_status(account, "eu-south-1") == "DISABLED"


def test_regions_are_listed_by_status_and_in_pages(account: Account) -> None:
    api = account.client("account")
    disabled = api.list_regions(RegionOptStatusContains=["DISABLED"])["Regions"]
    filters = [{"Name": "opt-in-status", "Values": ["not-opted-in"]}]
    assert {each["RegionName"] for each in disabled} == set(regions_of_ec2(account, AllRegions=True, Filters=filters))
    paged = api.get_paginator("list_regions").paginate(PaginationConfig={"PageSize": 10})
    names = [each["RegionName"] for page in paged for each in page["Regions"]]
    assert set(names) == set(regions_of_ec2(account, AllRegions=True))


def test_the_management_account_asks_for_its_members_and_nobody_else(account: Account) -> None:
    member = Account(account.cloud, account.number.replace("500", "740", 1))
    organizations = account.client("organizations")
    organizations.create_organization()
    offer = organizations.invite_account_to_organization(Target={"Id": member.number, "Type": "ACCOUNT"})
    member.client("organizations").accept_handshake(HandshakeId=offer["Handshake"]["Id"])
    account.client("account").enable_region(AccountId=member.number, RegionName="eu-south-1")
    assert opt_status(member, "eu-south-1") == "ENABLED"
    with pytest.raises(ClientError) as error:
        member.client("account").list_regions(AccountId=account.number)
    assert refused(error) == "AccessDeniedException"


def test_regions_and_quotas_are_shown_to_those_whose_policies_allow_it(strict_account: Account) -> None:
    role = make_role(strict_account, trust(Principal={"AWS": strict_account.number}))
    session = assume(strict_account, role)
    regions, quotas = (session_client(strict_account.cloud, session, name) for name in ("account", "service-quotas"))
    for ask, action in (
        (regions.list_regions, "account:ListRegions"),
        (lambda: regions.get_region_opt_status(RegionName="eu-south-1"), "account:GetRegionOptStatus"),
        (lambda: quotas.list_service_quotas(ServiceCode="cloudformation"), "servicequotas:ListServiceQuotas"),
    ):
        with pytest.raises(ClientError, match=f"not authorized to perform: {action}"):
            ask()
        allow(strict_account, "reader", action)
        ask()


@pytest.fixture
def stack(account: Account) -> Template:
    """The resources of a deployed stack."""
    resources: Template = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 0}},
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"}},
        "Source": {
            "Type": "AWS::DMS::Endpoint",
            "Properties": {"EndpointType": "source", "EngineName": "postgres", "KmsKeyId": {"Ref": "Key"}},
        },
    }
    account.deploy(resources, sections=SECTIONS)
    return resources


SECTIONS = {
    "Parameters": {
        "Key": {"Type": "String", "Default": "one"},
        "Word": {"Type": "String", "Default": "w", "NoEcho": True},
    }
}


def preview(api: Any, resources: Template, stack: str = "stack", **more: Any) -> dict[str, Any]:
    body = json.dumps({"Resources": resources, **SECTIONS})
    made = api.create_change_set(StackName=stack, ChangeSetName="preview", TemplateBody=body, **more)
    return dict(api.describe_change_set(ChangeSetName=made["Id"]))


def test_a_preview_shows_what_is_replaced_and_by_which_property(account: Account, stack: Template) -> None:
    stack["Queue"]["Properties"]["DelaySeconds"] = 5
    stack["Vpc"]["Properties"]["CidrBlock"] = "10.1.0.0/16"
    parameters = [{"ParameterKey": "Key", "ParameterValue": "two"}]
    found = preview(account.client("cloudformation"), stack, Parameters=parameters)
    changes = {each["ResourceChange"]["LogicalResourceId"]: each["ResourceChange"] for each in found["Changes"]}
    assert {name: each["Replacement"] for name, each in changes.items()} == {
        "Queue": "False",
        "Vpc": "True",
        "Subnet": "True",
        "Source": "True",
    }
    assert changes["Vpc"]["Details"] == [
        {
            "Target": {"Attribute": "Properties", "Name": "CidrBlock", "RequiresRecreation": "Always"},
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
    ]
    assert {
        "Target": {"Attribute": "Properties", "Name": "KmsKeyId", "RequiresRecreation": "Always"},
        "Evaluation": "Static",
        "ChangeSource": "ParameterReference",
        "CausingEntity": "Key",
    } in changes["Source"]["Details"]
    assert changes["Subnet"]["Details"] == [
        {
            "Target": {"Attribute": "Properties", "Name": "VpcId", "RequiresRecreation": "Always"},
            "Evaluation": "Static",
            "ChangeSource": "ResourceReference",
            "CausingEntity": "Vpc",
        }
    ]


def test_a_preview_hides_the_values_of_noecho_parameters(account: Account, stack: Template) -> None:
    del stack["Queue"]
    found = preview(account.client("cloudformation"), stack)
    values = {each["ParameterKey"]: each["ParameterValue"] for each in found["Parameters"]}
    assert values == {"Key": "one", "Word": "****"}


def test_a_preview_without_changes_fails_with_its_reason(account: Account, stack: Template) -> None:
    found = preview(account.client("cloudformation"), stack)
    assert (found["Status"], found["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert found["StatusReason"].startswith("The submitted information didn't contain changes.")


def test_a_preview_is_found_by_its_name_and_the_arn_of_its_stack(account: Account, stack: Template) -> None:
    api = account.client("cloudformation")
    arn = api.describe_stacks(StackName="stack")["Stacks"][0]["StackId"]
    preview(api, stack, arn)
    named = {"StackName": arn, "ChangeSetName": "preview"}
    assert api.describe_change_set(**named)["StackName"] == "stack"
    api.delete_change_set(**named)
    assert api.list_change_sets(StackName=arn)["Summaries"] == []


def test_a_large_preview_comes_in_pages(account: Account) -> None:
    topics: Template = {f"Topic{number:03}": {"Type": "AWS::SNS::Topic"} for number in range(130)}
    api = account.client("cloudformation")
    preview(api, topics, "large", ChangeSetType="CREATE")
    pages = list(api.get_paginator("describe_change_set").paginate(StackName="large", ChangeSetName="preview"))
    assert [len(page["Changes"]) for page in pages] == [100, 30]
    names = {each["ResourceChange"]["LogicalResourceId"] for page in pages for each in page["Changes"]}
    assert names == set(topics)


def test_a_preview_of_a_stack_that_is_not_there_leaves_it_in_review(account: Account) -> None:
    api = account.client("cloudformation")
    preview(api, {"Topic": {"Type": "AWS::SNS::Topic"}}, "new", ChangeSetType="CREATE")
    api.delete_change_set(StackName="new", ChangeSetName="preview")
    assert api.describe_stacks(StackName="new")["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert account.delete("new") == ""


def test_a_role_reads_and_previews_the_stacks_of_its_account(account: Account, stack: Template) -> None:
    tooling = Account(account.cloud, "710000000002")
    api = session_client(account.cloud, assume(tooling, make_role(account, trust())), "cloudformation")
    (described,) = api.describe_stacks(StackName="stack")["Stacks"]
    values = {each["ParameterKey"]: each["ParameterValue"] for each in described["Parameters"]}
    assert values == {"Key": "one", "Word": "****"}
    template = api.get_template(StackName="stack", TemplateStage="Original")["TemplateBody"]
    assert template == {"Resources": stack, **SECTIONS}
    stack["Queue"]["Properties"]["DelaySeconds"] = 9
    (change,) = preview(api, stack)["Changes"]
    assert change["ResourceChange"]["LogicalResourceId"] == "Queue"


def test_a_role_sees_the_tasks_of_its_account(account: Account) -> None:
    task = deploy_task(account.cloud, account.number)
    tooling = Account(account.cloud, "710000000002")
    api = session_client(account.cloud, assume(tooling, make_role(account, trust())), "dms")
    (found,) = api.describe_replication_tasks()["ReplicationTasks"]
    assert (found["ReplicationTaskArn"], found["Status"]) == (task.arn, "ready")


def test_alarms_are_found_by_their_prefix_with_whether_they_act(account: Account) -> None:
    api = account.client("cloudwatch")
    for name, acting in (("dev-a", True), ("dev-b", False), ("prod-a", True)):
        api.put_metric_alarm(
            AlarmName=name, ActionsEnabled=acting, Namespace="N", MetricName="M", Statistic="Sum", Period=60,
            EvaluationPeriods=1, Threshold=1.0, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
    found = api.describe_alarms(AlarmNamePrefix="dev-")["MetricAlarms"]
    assert {each["AlarmName"]: each["ActionsEnabled"] for each in found} == {"dev-a": True, "dev-b": False}


def test_another_account_reads_packages_of_a_bucket_that_lets_it_and_nothing_else(strict_cloud: Cloud) -> None:
    owner, reader = Account(strict_cloud, "750000000001"), Account(strict_cloud, "750000000002")
    bucket = owner.client("s3")
    bucket.create_bucket(Bucket="packages")
    for key in ("function.zip", "notes.txt"):
        bucket.put_object(Bucket="packages", Key=key, Body=b"content")
    allowed = {"Effect": "Allow", "Principal": {"AWS": reader.number}, "Action": "s3:GetObject",
               "Resource": "arn:aws:s3:::packages/*.zip"}  # fmt: skip
    bucket.put_bucket_policy(Bucket="packages", Policy=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    role = make_role(reader, trust(Principal={"AWS": reader.number}))
    allow(reader, "reader", "s3:*")
    api = session_client(strict_cloud, assume(reader, role), "s3")
    assert api.head_object(Bucket="packages", Key="function.zip")["ContentLength"] == 7
    refused: list[Callable[[], Any]] = [
        lambda: api.head_object(Bucket="packages", Key="notes.txt"),
        lambda: api.get_object(Bucket="packages", Key="notes.txt"),
        lambda: api.list_objects_v2(Bucket="packages"),
        lambda: api.put_object(Bucket="packages", Key="other.zip", Body=b""),
    ]
    for call in refused:
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_object_is_written_only_where_there_is_none_or_the_one_that_was_read(account: Account) -> None:
    api, target = account.client("s3"), {"Bucket": f"conditional-{account.number}", "Key": "function.zip"}
    api.create_bucket(Bucket=target["Bucket"])
    tag = api.put_object(**target, Body=b"one", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as error:
        api.put_object(**target, Body=b"two", IfNoneMatch="*")
    assert refused(error) == "PreconditionFailed"
    api.put_object(**target, Body=b"two", IfMatch=tag)
    with pytest.raises(ClientError) as error:
        api.put_object(**target, Body=b"three", IfMatch=tag)
    assert refused(error) == "PreconditionFailed"
