"""Resources made from schemas, changed behind their stack's back, left behind by it, and taken into another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Account, Refused, Template, until

KIND = "AWS::EC2::TransitGateway"


def gateway(**properties: Any) -> Template:
    return {"Gateway": {"Type": KIND, "DeletionPolicy": "Retain", "Properties": {"Description": "one", **properties}}}


def drifted(account: Account) -> dict[str, Any]:
    """The drift of the gateway: its status, and {property path: (expected, actual)}."""
    api = account.client("cloudformation")
    token = api.detect_stack_drift(StackName="stack")["StackDriftDetectionId"]

    def detected() -> Any:
        return api.describe_stack_drift_detection_status(StackDriftDetectionId=token)

    until(lambda: detected()["DetectionStatus"] == "DETECTION_COMPLETE")
    (drift,) = api.describe_stack_resource_drifts(StackName="stack")["StackResourceDrifts"]
    differences = {
        each["PropertyPath"]: (each["ExpectedValue"], each["ActualValue"])
        for each in drift.get("PropertyDifferences", [])
    }
    return {"stack": detected()["StackDriftStatus"], "resource": drift["StackResourceDriftStatus"], **differences}


def patch(account: Account, **values: Any) -> dict[str, Any]:
    document = [{"op": "add", "path": f"/{name}", "value": value} for name, value in values.items()]
    answer = account.client("cloudcontrol").update_resource(
        TypeName=KIND, Identifier=account.physical_id("Gateway"), PatchDocument=json.dumps(document)
    )
    return dict(answer["ProgressEvent"])


def test_what_nobody_touched_is_in_sync(account: Account) -> None:
    account.deploy(gateway(Tags=[{"Key": "Phase", "Value": "dev"}]), Tags=[{"Key": "Owner", "Value": "payments"}])
    assert drifted(account) == {"stack": "IN_SYNC", "resource": "IN_SYNC"}


def test_a_change_behind_the_stacks_back_is_drift_until_it_is_taken_back(account: Account) -> None:
    account.deploy(gateway())
    patch(account, Description="two")
    assert drifted(account) == {"stack": "DRIFTED", "resource": "MODIFIED", "/Description": ("one", "two")}
    patch(account, Description="one")
    assert drifted(account)["stack"] == "IN_SYNC"


def test_a_resource_that_is_gone_is_shown_as_deleted(account: Account) -> None:
    account.deploy(gateway())
    account.client("cloudcontrol").delete_resource(TypeName=KIND, Identifier=account.physical_id("Gateway"))
    assert drifted(account) == {"stack": "DRIFTED", "resource": "DELETED"}


def test_cloud_control_refuses_what_the_schema_does(account: Account) -> None:
    account.deploy(gateway())
    event = patch(account, Nonsense="x")
    assert (event["OperationStatus"], event["ErrorCode"]) == ("FAILED", "InvalidRequest")
    assert "extraneous key [Nonsense] is not permitted" in event["StatusMessage"]


def import_gateway(account: Account, identifier: str, stack: str = "taker") -> str:
    """Import the gateway into a new stack, and say what became of the change set or the stack."""
    api = account.client("cloudformation")
    resource = {"ResourceType": KIND, "LogicalResourceId": "Gateway", "ResourceIdentifier": {"Id": identifier}}
    api.create_change_set(
        StackName=stack,
        ChangeSetName="import",
        ChangeSetType="IMPORT",
        ResourcesToImport=[resource],
        TemplateBody=json.dumps({"Resources": gateway()}),
    )

    def described() -> Any:
        return api.describe_change_set(StackName=stack, ChangeSetName="import")

    until(lambda: described()["Status"] in ("CREATE_COMPLETE", "FAILED"))
    if described()["Status"] == "FAILED":
        return str(described()["StatusReason"])
    api.execute_change_set(StackName=stack, ChangeSetName="import")
    return account.settled(stack)


def test_what_a_stack_left_behind_is_imported_into_another(account: Account) -> None:
    account.deploy(gateway())
    identifier = account.physical_id("Gateway")
    account.delete()
    assert import_gateway(account, identifier) == "IMPORT_COMPLETE"
    assert account.physical_id("Gateway", "taker") == identifier


def test_what_is_not_there_is_not_imported(account: Account) -> None:
    reason = import_gateway(account, "tgw-0123456789abcdef0")
    assert reason == f"Resource of type '{KIND}' with identifier 'tgw-0123456789abcdef0' was not found."


def test_what_another_stack_holds_is_not_imported(account: Account) -> None:
    account.deploy(gateway())
    assert "already exists in stack" in import_gateway(account, account.physical_id("Gateway"))


def test_a_replacement_is_made_first_switched_to_and_the_old_one_deleted_last(account: Account) -> None:
    def instance(public: bool) -> Template:
        properties = {"ReplicationInstanceClass": "dms.t3.micro", "PubliclyAccessible": public}
        name = {"Description": {"Ref": "Instance"}}
        return {
            "Instance": {"Type": "AWS::DMS::ReplicationInstance", "Properties": properties},
            "Gateway": {"Type": KIND, "Properties": name},
        }

    account.deploy(instance(False))
    old = account.physical_id("Instance")
    seen = len(account.events("stack"))
    account.deploy(instance(True))
    new = account.physical_id("Instance")
    events = list(reversed(account.events("stack")[: -seen or None]))
    steps = [
        (event["LogicalResourceId"], event["ResourceStatus"], event.get("PhysicalResourceId"))
        for event in events
        if event["ResourceStatus"].endswith("_COMPLETE") and event["LogicalResourceId"] != "stack"
    ]
    gateway_id = account.physical_id("Gateway")
    assert steps == [
        ("Instance", "UPDATE_COMPLETE", new),
        ("Gateway", "UPDATE_COMPLETE", gateway_id),
        ("Instance", "DELETE_COMPLETE", old),
    ]
    api = account.client("cloudcontrol")
    with pytest.raises(api.exceptions.ResourceNotFoundException):
        api.get_resource(TypeName="AWS::DMS::ReplicationInstance", Identifier=old)
    described = account.client("cloudcontrol").get_resource(TypeName=KIND, Identifier=gateway_id)
    assert json.loads(described["ResourceDescription"]["Properties"])["Description"] == new


def test_a_replacement_that_fails_leaves_the_old_resource(account: Account) -> None:
    def stack(public: bool, second: Template) -> Template:
        properties = {"ReplicationInstanceClass": "dms.t3.micro", "PubliclyAccessible": public}
        return {"Instance": {"Type": "AWS::DMS::ReplicationInstance", "Properties": properties}, **second}

    account.deploy(stack(False, {}))
    old = account.physical_id("Instance")
    subnet = {"VpcId": "vpc-0", "CidrBlock": "10.0.0.0/24"}
    with pytest.raises(Refused, match="The vpc ID 'vpc-0' does not exist"):
        account.deploy(
            stack(True, {"Broken": {"Type": "AWS::EC2::Subnet", "DependsOn": "Instance", "Properties": subnet}})
        )
    assert account.physical_id("Instance") == old
    found = account.client("cloudcontrol").list_resources(TypeName="AWS::DMS::ReplicationInstance")
    assert [each["Identifier"] for each in found["ResourceDescriptions"]] == [old]


def test_tags_change_in_place_and_go_with_the_template(account: Account) -> None:
    account.deploy(gateway(Tags=[{"Key": "Phase", "Value": "dev"}]))
    before = account.physical_id("Gateway")
    account.deploy(gateway(Tags=[{"Key": "Phase", "Value": "prod"}, {"Key": "New", "Value": "yes"}]))
    described = account.client("cloudcontrol").get_resource(TypeName=KIND, Identifier=before)
    tags = json.loads(described["ResourceDescription"]["Properties"])["Tags"]
    own = {tag["Key"]: tag["Value"] for tag in tags if not tag["Key"].startswith("aws:")}
    assert own == {"Phase": "prod", "New": "yes"}


def test_a_secret_that_nobody_touched_is_in_sync_and_one_that_is_gone_deleted(account: Account) -> None:
    account.deploy({"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Description": "one"}}})
    assert drifted(account) == {"stack": "IN_SYNC", "resource": "IN_SYNC"}
    secret = account.physical_id("Secret")
    account.client("secretsmanager").delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    assert drifted(account) == {"stack": "DRIFTED", "resource": "DELETED"}
