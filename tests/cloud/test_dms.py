"""DMS over what CloudFormation made: describe, test connections, start, stop, modify, and the events of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from dms_task import MAPPINGS, resources, task

from .conftest import Account, Refused, Template, until

SLOW_SECONDS = 60


@pytest.fixture
def replication() -> Template:
    """An instance, both endpoints and a task."""
    return resources()


@pytest.fixture
def arn(account: Account, replication: Template, drive: Callable[..., None]) -> str:
    """The task, deployed; its connections are not tested yet. It starts and stops when a test has seen that."""
    account.deploy(replication)
    arn = account.physical_id("Task")
    drive(ReplicationTaskArn=arn, StepSeconds=SLOW_SECONDS)
    return arn


@pytest.fixture
def dms(account: Account) -> Any:
    return account.client("dms")


@pytest.fixture
def drive(account: Account) -> Callable[..., None]:
    """Decides what becomes of a task (src/builders/cloud/dms/tasks.py)."""

    def send(**request: Any) -> None:
        body = json.dumps(request).encode()
        account.cloud.ask("/", body, **{"X-Amz-Target": "StackferryDms.Drive"})

    return send


Walked = Callable[[str, str], list[str]]


@pytest.fixture
def walked(dms: Any, drive: Callable[..., None]) -> Walked:
    """Return the status of a task that starts or stops, which lasts until it is seen, and that to which it leads."""

    def walk(arn: str, last: str) -> list[str]:
        seen = [described(dms, arn)["Status"]]
        drive(ReplicationTaskArn=arn, StepSeconds=0)
        until(lambda: described(dms, arn)["Status"] == last)
        drive(ReplicationTaskArn=arn, StepSeconds=SLOW_SECONDS)
        return [*seen, last]

    return walk


def described(dms: Any, arn: str) -> dict[str, Any]:
    filters = [{"Name": "replication-task-arn", "Values": [arn]}]
    found: dict[str, Any] = dms.describe_replication_tasks(Filters=filters)["ReplicationTasks"][0]
    return found


def prove_connections(dms: Any, arn: str) -> None:
    """Test both connections of a task and wait for the answers."""
    found = described(dms, arn)
    for side in ("SourceEndpointArn", "TargetEndpointArn"):
        dms.test_connection(ReplicationInstanceArn=found["ReplicationInstanceArn"], EndpointArn=found[side])
        filters = [{"Name": "endpoint-arn", "Values": [found[side]]}]
        dms.get_waiter("test_connection_succeeds").wait(
            Filters=filters, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )


@pytest.fixture
def running(dms: Any, arn: str, walked: Walked) -> str:
    """The task, started."""
    prove_connections(dms, arn)
    dms.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    walked(arn, "running")
    return arn


def test_a_task_walks_from_ready_over_starting_to_running_and_back_to_stopped(
    dms: Any, arn: str, walked: Walked
) -> None:
    assert arn.split(":")[2:] == ["dms", "us-east-1", arn.split(":")[4], "task", "ferry-task"]
    assert described(dms, arn)["Status"] == "ready"
    prove_connections(dms, arn)
    started = dms.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    assert started["ReplicationTask"]["Status"] == "starting"
    assert walked(arn, "running") == ["starting", "running"]
    assert dms.stop_replication_task(ReplicationTaskArn=arn)["ReplicationTask"]["Status"] == "stopping"
    assert walked(arn, "stopped") == ["stopping", "stopped"]
    assert described(dms, arn)["StopReason"] == "Stop Reason NORMAL"


def test_a_task_whose_connections_were_not_tested_does_not_start(dms: Any, arn: str) -> None:
    with pytest.raises(dms.exceptions.InvalidResourceStateFault, match=r"Test connection .* should be successful"):
        dms.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")


def test_a_connection_fails_with_the_reason_that_was_decided(dms: Any, arn: str, drive: Callable[..., None]) -> None:
    found = described(dms, arn)
    drive(EndpointArn=found["SourceEndpointArn"], ConnectionFailure="Connection refused")
    dms.test_connection(ReplicationInstanceArn=found["ReplicationInstanceArn"], EndpointArn=found["SourceEndpointArn"])
    until(lambda: dms.describe_connections()["Connections"][0]["Status"] != "testing")
    (connection,) = dms.describe_connections()["Connections"]
    assert (connection["Status"], connection["LastFailureMessage"]) == ("failed", "Connection refused")


def test_a_task_that_has_run_is_resumed_and_not_started_again(dms: Any, running: str, walked: Walked) -> None:
    dms.stop_replication_task(ReplicationTaskArn=running)
    walked(running, "stopped")
    with pytest.raises(ClientError, match="START_REPLICATION, valid only for tasks running for the first time"):
        dms.start_replication_task(ReplicationTaskArn=running, StartReplicationTaskType="start-replication")
    dms.start_replication_task(ReplicationTaskArn=running, StartReplicationTaskType="resume-processing")
    assert walked(running, "running") == ["starting", "running"]


def test_a_running_task_is_neither_started_nor_modified(dms: Any, running: str) -> None:
    with pytest.raises(dms.exceptions.InvalidResourceStateFault, match="cannot be started"):
        dms.start_replication_task(ReplicationTaskArn=running, StartReplicationTaskType="resume-processing")
    with pytest.raises(dms.exceptions.InvalidResourceStateFault, match="cannot be modified while it is running"):
        dms.modify_replication_task(ReplicationTaskArn=running, TableMappings=MAPPINGS)


def test_a_task_at_rest_is_not_stopped_and_can_be_modified(dms: Any, arn: str) -> None:
    with pytest.raises(dms.exceptions.InvalidResourceStateFault, match="cannot be stopped"):
        dms.stop_replication_task(ReplicationTaskArn=arn)
    changed = MAPPINGS.replace("payments", "orders")
    dms.modify_replication_task(ReplicationTaskArn=arn, TableMappings=changed)
    assert described(dms, arn)["TableMappings"] == changed


def test_cloudformation_neither_changes_nor_deletes_a_running_task(
    account: Account, dms: Any, replication: Template, running: str, walked: Walked
) -> None:
    changed = {**replication, "Task": task("ferry", ResourceIdentifier="ferry-task", ReplicationTaskSettings="{}")}
    with pytest.raises(Refused, match=r"cannot be modified while it is running state.*InvalidResourceStateFault"):
        account.deploy(changed)
    assert account.delete() == "DELETE_FAILED"
    dms.stop_replication_task(ReplicationTaskArn=running)
    walked(running, "stopped")
    assert account.delete() == ""  # gone


def test_cloudformation_changes_a_stopped_task(
    account: Account, dms: Any, replication: Template, running: str, walked: Walked
) -> None:
    dms.stop_replication_task(ReplicationTaskArn=running)
    walked(running, "stopped")
    settings = '{"Logging": {"EnableLogging": true}}'
    account.deploy(
        {**replication, "Task": task("ferry", ResourceIdentifier="ferry-task", ReplicationTaskSettings=settings)}
    )
    assert described(dms, running)["ReplicationTaskSettings"] == settings
    assert described(dms, running)["Status"] == "stopped"


def test_progress_and_tables_are_what_a_test_decides(dms: Any, running: str, drive: Callable[..., None]) -> None:
    drive(
        ReplicationTaskArn=running,
        ReplicationTaskStats={"FullLoadProgressPercent": 40, "TablesLoaded": 2, "TablesQueued": 3},
        TableStatistics=[{"SchemaName": "payments", "TableName": "orders", "FullLoadRows": 7}],
    )
    statistics = described(dms, running)["ReplicationTaskStats"]
    counts = {name: statistics[name] for name in ("FullLoadProgressPercent", "TablesLoaded", "TablesQueued")}
    assert counts == {"FullLoadProgressPercent": 40, "TablesLoaded": 2, "TablesQueued": 3}
    tables = dms.describe_table_statistics(ReplicationTaskArn=running)["TableStatistics"]
    assert tables == [{"SchemaName": "payments", "TableName": "orders", "FullLoadRows": 7}]


def test_tables_come_in_pages_and_through_filters(dms: Any, arn: str, drive: Callable[..., None]) -> None:
    names = [f"t{number:02}" for number in range(45)]
    tables = [{"SchemaName": "a" if name < "t05" else "b", "TableName": name} for name in names]
    drive(ReplicationTaskArn=arn, TableStatistics=tables)
    paginator = dms.get_paginator("describe_table_statistics")
    pages = [
        [table["TableName"] for table in page["TableStatistics"]]
        for page in paginator.paginate(ReplicationTaskArn=arn, PaginationConfig={"PageSize": 20})
    ]
    assert pages == [names[:20], names[20:40], names[40:]]
    filters = [{"Name": "schema-name", "Values": ["a"]}]
    few = dms.describe_table_statistics(ReplicationTaskArn=arn, Filters=filters)["TableStatistics"]
    assert [table["TableName"] for table in few] == names[:5]


def test_tasks_come_in_pages(account: Account, dms: Any, replication: Template) -> None:
    many = {f"Task{number}": task(f"task-{number}", ResourceIdentifier=f"task-{number:02}") for number in range(21)}
    account.deploy({name: body for name, body in replication.items() if name != "Task"} | many)
    first = dms.describe_replication_tasks(MaxRecords=20)
    second = dms.describe_replication_tasks(MaxRecords=20, Marker=first["Marker"])
    names = [each["ReplicationTaskIdentifier"] for page in (first, second) for each in page["ReplicationTasks"]]
    assert sorted(names) == sorted(f"task-{number}" for number in range(21))
    assert "Marker" not in second


@pytest.mark.parametrize("size", [19, 101])
def test_a_page_is_neither_too_small_nor_too_large(dms: Any, size: int) -> None:
    with pytest.raises(ClientError, match="MaxRecords"):
        dms.describe_replication_tasks(MaxRecords=size)


def test_a_marker_of_somebody_else_is_refused(dms: Any) -> None:
    with pytest.raises(ClientError, match="marker"):
        dms.describe_replication_tasks(Marker="elsewhere")


def test_what_is_not_there_is_not_found(dms: Any) -> None:
    filters = [{"Name": "replication-task-id", "Values": ["nobody"]}]
    with pytest.raises(dms.exceptions.ResourceNotFoundFault):
        dms.describe_replication_tasks(Filters=filters)
    with pytest.raises(dms.exceptions.ResourceNotFoundFault):
        dms.stop_replication_task(ReplicationTaskArn="arn:aws:dms:us-east-1:1:task:nobody")


def test_an_unknown_filter_is_refused(dms: Any, arn: str) -> None:
    with pytest.raises(ClientError, match="Invalid filter task-name"):
        dms.describe_replication_tasks(Filters=[{"Name": "task-name", "Values": ["ferry"]}])


def test_each_thing_is_described_as_the_template_says(account: Account, dms: Any, arn: str) -> None:
    (instance,) = dms.describe_replication_instances()["ReplicationInstances"]
    assert instance["ReplicationInstanceIdentifier"] == "ferry"
    assert instance["ReplicationInstanceStatus"] == "available"
    filters = [{"Name": "endpoint-type", "Values": ["SOURCE"]}]
    (source,) = dms.describe_endpoints(Filters=filters)["Endpoints"]
    assert (source["EndpointArn"], source["SslMode"]) == (account.physical_id("Source"), "none")
    filters = [{"Name": "endpoint-arn", "Values": [source["EndpointArn"]]}]
    (of_source,) = dms.describe_replication_tasks(Filters=filters)["ReplicationTasks"]
    assert of_source["ReplicationTaskArn"] == arn


def test_certificates_and_subnet_groups_are_described(account: Account, dms: Any, vpc: Template) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "dms.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [trust]}
    role = {"RoleName": "dms-vpc-role", "AssumeRolePolicyDocument": document}
    group = {"ReplicationSubnetGroupDescription": "both", "SubnetIds": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}]}
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    account.deploy(
        {
            **vpc,
            "Role": {"Type": "AWS::IAM::Role", "Properties": role},
            "Group": {"Type": "AWS::DMS::ReplicationSubnetGroup", "DependsOn": "Role", "Properties": group},
            "Authority": {"Type": "AWS::DMS::Certificate", "Properties": {"CertificatePem": pem}},
        }
    )
    (described_group,) = dms.describe_replication_subnet_groups()["ReplicationSubnetGroups"]
    (certificate,) = dms.describe_certificates()["Certificates"]
    assert described_group["VpcId"] == account.physical_id("Vpc")
    assert (certificate["CertificateArn"], certificate["CertificatePem"]) == (account.physical_id("Authority"), pem)


def test_a_subnet_group_needs_the_role_of_dms_in_the_account(account: Account, vpc: Template) -> None:
    group = {"ReplicationSubnetGroupDescription": "both", "SubnetIds": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}]}
    with pytest.raises(Refused, match=r"dms-vpc-role is not configured properly.*AccessDeniedFault"):
        account.deploy({**vpc, "Group": {"Type": "AWS::DMS::ReplicationSubnetGroup", "Properties": group}})


@pytest.mark.parametrize("when", ["at once", "at the next start"])
def test_a_failure_comes_to_the_task_and_reaches_the_rule_that_waits_for_it(
    account: Account, dms: Any, running: str, drive: Callable[..., None], walked: Walked, when: str
) -> None:
    queue, rule = account.client("sqs"), account.client("events")
    address = queue.create_queue(QueueName="events")["QueueUrl"]
    target = queue.get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.dms"], "resources": [running], "detail": {"eventId": ["DMS-EVENT-0078"]}}
    rule.put_rule(Name="failed", EventPattern=json.dumps(pattern))
    rule.put_targets(Rule="failed", Targets=[{"Id": "queue", "Arn": target}])
    if when == "at the next start":
        dms.stop_replication_task(ReplicationTaskArn=running)
        walked(running, "stopped")
    drive(
        ReplicationTaskArn=running,
        Failure={"StopReason": "Stop Reason FATAL_ERROR", "LastFailureMessage": "No tables were found"},
    )
    if when == "at the next start":
        dms.start_replication_task(ReplicationTaskArn=running, StartReplicationTaskType="resume-processing")
    walked(running, "failed")
    assert described(dms, running)["LastFailureMessage"] == "No tables were found"
    (message,) = queue.receive_message(QueueUrl=address, WaitTimeSeconds=5)["Messages"]
    event = json.loads(message["Body"])
    assert event["detail-type"] == "DMS Replication Task State Change"
    assert event["detail"]["eventType"] == "REPLICATION_TASK_FAILED"


def test_an_operation_that_is_not_offered_says_so(dms: Any) -> None:
    with pytest.raises(ClientError, match="DescribeAccountAttributes is not offered by the embedded cloud"):
        dms.describe_account_attributes()


def test_another_account_sees_nothing_of_it(account: Account, arn: str) -> None:
    other = Account(account.cloud, "599999999999").client("dms")
    assert other.describe_replication_tasks()["ReplicationTasks"] == []
    with pytest.raises(other.exceptions.ResourceNotFoundFault):
        other.stop_replication_task(ReplicationTaskArn=arn)


def test_the_tags_of_a_resource_are_listed(dms: Any, arn: str) -> None:
    tags = {each["Key"]: each["Value"] for each in dms.list_tags_for_resource(ResourceArn=arn)["TagList"]}
    assert tags["Environment"] == "dev"
    with pytest.raises(ClientError, match="ResourceNotFoundFault"):
        dms.list_tags_for_resource(ResourceArn=arn + "X")
