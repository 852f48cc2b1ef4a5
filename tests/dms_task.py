"""A replication task in an account of the embedded cloud, whose life a test decides."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from builders.cloud.clients import account_client
from builders.cloud.process import Cloud

MAPPINGS = json.dumps(
    {
        "rules": [
            {
                "rule-type": "selection",
                "rule-id": "1",
                "rule-name": "1",
                "object-locator": {"schema-name": "payments", "table-name": "%"},
                "rule-action": "include",
            }
        ]
    }
)


TAGS = [{"Key": "Environment", "Value": "dev"}]


@dataclass(frozen=True)
class DeployedTask:
    """One deployed task: where it is, what its owner sees of it, and how a test decides what becomes of it."""

    cloud: Cloud
    account: str
    arn: str

    @property
    def dms(self) -> Any:
        return account_client(self.cloud, "dms", self.account)

    def drive(self, **request: Any) -> None:
        """Decide progress, tables or a failure (src/builders/cloud/dms/tasks.py); of the task, unless told else."""
        of_task = {} if "EndpointArn" in request else {"ReplicationTaskArn": self.arn}
        body = json.dumps({**of_task, **request}).encode()
        self.cloud.ask("/", body, **{"X-Amz-Target": "StackferryDms.Drive"})

    def described(self) -> dict[str, Any]:
        filters = [{"Name": "replication-task-arn", "Values": [self.arn]}]
        found: dict[str, Any] = self.dms.describe_replication_tasks(Filters=filters)["ReplicationTasks"][0]
        return found

    def start(self) -> None:
        """Test the connections and start the task, as a person would by hand."""
        task, dms = self.described(), self.dms
        for side in ("SourceEndpointArn", "TargetEndpointArn"):
            dms.test_connection(ReplicationInstanceArn=task["ReplicationInstanceArn"], EndpointArn=task[side])
        self.wait(lambda: {each["Status"] for each in dms.describe_connections()["Connections"]} == {"successful"})
        dms.start_replication_task(ReplicationTaskArn=self.arn, StartReplicationTaskType="start-replication")
        self.wait(lambda: self.described()["Status"] == "running")

    @staticmethod
    def wait(reached: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.1)


def deploy(cloud: Cloud, account: str) -> DeployedTask:
    """Deploy an instance, two endpoints and a task that is ready."""
    cloudformation = account_client(cloud, "cloudformation", account)
    cloudformation.create_stack(StackName="migration", TemplateBody=json.dumps({"Resources": resources()}))
    cloudformation.get_waiter("stack_create_complete").wait(StackName="migration", WaiterConfig={"Delay": 0.1})
    arguments = {"StackName": "migration", "LogicalResourceId": "Task"}
    detail = cloudformation.describe_stack_resource(**arguments)["StackResourceDetail"]
    return DeployedTask(cloud, account, detail["PhysicalResourceId"])


def resources() -> dict[str, Any]:
    """A replication, as resources of a template."""
    return {
        "Instance": {
            "Type": "AWS::DMS::ReplicationInstance",
            "Properties": {
                "ReplicationInstanceClass": "dms.t3.medium",
                "ReplicationInstanceIdentifier": "Ferry",
                "Tags": TAGS,
            },
        },
        "Source": endpoint("source"),
        "Target": endpoint("target"),
        "Task": task("ferry", ResourceIdentifier="ferry-task", Tags=TAGS),
    }


def endpoint(side: str) -> dict[str, Any]:
    properties = {"EndpointType": side, "EngineName": "postgres", "ServerName": f"{side}.example.com", "Port": 5432}
    return {"Type": "AWS::DMS::Endpoint", "Properties": {**properties, "Tags": TAGS}}


def task(name: str, **more: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::DMS::ReplicationTask",
        "Properties": {
            "ReplicationTaskIdentifier": name,
            "MigrationType": "full-load-and-cdc",
            "ReplicationInstanceArn": {"Ref": "Instance"},
            "SourceEndpointArn": {"Ref": "Source"},
            "TargetEndpointArn": {"Ref": "Target"},
            "TableMappings": MAPPINGS,
            **more,
        },
    }
