"""Types that ministack does not know, made from the registry's schemas."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
import warm

from .conftest import Account, Refused

REPLICATION_INSTANCE: dict[str, Any] = {
    "Type": "AWS::DMS::ReplicationInstance",
    "Properties": {"ReplicationInstanceClass": "dms.t3.micro", "PubliclyAccessible": False},
}


def outputs(**values: Any) -> dict[str, Any]:
    return {"Outputs": {name: {"Value": value} for name, value in values.items()}}


@pytest.mark.parametrize(
    ("kind", "properties", "form"),
    [
        ("AWS::DMS::ReplicationInstance", {"ReplicationInstanceClass": "dms.t3.micro"}, r"arn:aws:dms:.*:rep:\w{26}"),
        ("AWS::DMS::Certificate", {"CertificatePem": "x"}, r"arn:aws:dms:us-east-1:\d{12}:cert:[A-Z0-9]+"),
        ("AWS::EC2::VPNGateway", {"Type": "ipsec.1"}, r"vgw-[0-9a-f]{17}"),
        ("AWS::EC2::TransitGateway", {}, r"tgw-[0-9a-f]{17}"),
        ("AWS::EC2::FlowLog", {"ResourceId": "eni-1", "ResourceType": "NetworkInterface"}, r"fl-[0-9a-f]{17}"),
        (
            "AWS::DirectConnect::DirectConnectGateway",
            {"DirectConnectGatewayName": "dx"},
            r"arn:aws:directconnect::\d{12}:dx-gateway/[0-9a-f-]{36}",
        ),
        ("AWS::RAM::ResourceShare", {"Name": "share"}, r"arn:aws:ram:us-east-1:\d{12}:.+"),
    ],
)
def test_ref_of_a_schema_made_type_has_the_form_that_aws_gives_it(
    account: Account, kind: str, properties: dict[str, Any], form: str
) -> None:
    made = account.deploy({"Thing": {"Type": kind, "Properties": properties}}, sections=outputs(Id={"Ref": "Thing"}))
    assert re.fullmatch(form, made["Id"])


def test_a_resource_identifier_becomes_the_end_of_the_arn(account: Account) -> None:
    instance = {**REPLICATION_INSTANCE, "Properties": {"ReplicationInstanceClass": "dms.t3.micro",
                                                       "ResourceIdentifier": "ferry"}}  # fmt: skip
    made = account.deploy({"Thing": instance}, sections=outputs(Arn={"Ref": "Thing"}))
    assert made["Arn"] == f"arn:aws:dms:us-east-1:{account.number}:rep:ferry"


def test_a_change_of_an_updatable_property_keeps_the_resource(account: Account) -> None:
    account.deploy({"Thing": REPLICATION_INSTANCE})
    before = account.physical_id("Thing")
    bigger = {**REPLICATION_INSTANCE["Properties"], "ReplicationInstanceClass": "dms.r5.large"}
    account.deploy({"Thing": {**REPLICATION_INSTANCE, "Properties": bigger}})
    assert account.physical_id("Thing") == before


def test_a_change_of_a_create_only_property_makes_a_new_resource(account: Account) -> None:
    account.deploy({"Thing": REPLICATION_INSTANCE})
    before = account.physical_id("Thing")
    public = {**REPLICATION_INSTANCE["Properties"], "PubliclyAccessible": True}
    account.deploy({"Thing": {**REPLICATION_INSTANCE, "Properties": public}})
    assert account.physical_id("Thing") != before


def test_the_clean_up_of_an_update_has_events(account: Account) -> None:
    topic = {"Type": "AWS::SNS::Topic"}
    account.deploy({"Thing": REPLICATION_INSTANCE, "Dropped": topic})
    old = [account.physical_id("Thing"), account.physical_id("Dropped")]
    public = {**REPLICATION_INSTANCE["Properties"], "PubliclyAccessible": True}
    account.deploy({"Thing": {**REPLICATION_INSTANCE, "Properties": public}})
    events = [(each["PhysicalResourceId"], each["ResourceStatus"]) for each in reversed(account.events("stack"))]
    stack = account.events("stack")[0]["StackId"]
    begun = events.index((stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"))
    assert events[begun + 1 :] == [
        (old[0], "DELETE_IN_PROGRESS"),
        (old[0], "DELETE_COMPLETE"),
        (old[1], "DELETE_IN_PROGRESS"),
        (old[1], "DELETE_COMPLETE"),
        (stack, "UPDATE_COMPLETE"),
    ]


def test_a_change_set_shows_a_replacement_before_it_happens(account: Account) -> None:
    account.deploy({"Thing": REPLICATION_INSTANCE})
    api = account.client("cloudformation")
    public = '{"Resources": {"Thing": {"Type": "AWS::DMS::ReplicationInstance", "Properties": {"ReplicationInstance'
    body = public + 'Class": "dms.t3.micro", "PubliclyAccessible": true}}}}'
    api.create_change_set(StackName="stack", ChangeSetName="preview", TemplateBody=body)
    change = api.describe_change_set(StackName="stack", ChangeSetName="preview")["Changes"][0]["ResourceChange"]
    assert change["Replacement"] == "True"


def test_a_named_resource_is_not_replaced(account: Account) -> None:
    named = {**REPLICATION_INSTANCE["Properties"], "ReplicationInstanceIdentifier": "ferry"}
    account.deploy({"Thing": {**REPLICATION_INSTANCE, "Properties": named}})
    with pytest.raises(Refused, match="cannot update a stack when a custom-named resource requires replacing"):
        account.deploy({"Thing": {**REPLICATION_INSTANCE, "Properties": {**named, "PubliclyAccessible": True}}})


def test_a_named_resource_is_replaced_under_a_new_name(account: Account) -> None:
    named = {**REPLICATION_INSTANCE["Properties"], "ReplicationInstanceIdentifier": "ferry"}
    account.deploy({"Thing": {**REPLICATION_INSTANCE, "Properties": named}})
    renamed = {**named, "PubliclyAccessible": True, "ReplicationInstanceIdentifier": "other"}
    account.deploy({"Thing": {**REPLICATION_INSTANCE, "Properties": renamed}})
    assert account.status("stack") == "UPDATE_COMPLETE"


def test_a_deleted_stack_leaves_its_name_free(account: Account) -> None:
    properties = {"SubscriptionName": "news", "SnsTopicArn": f"arn:aws:sns:us-east-1:{account.number}:t"}
    connection = {"Type": "AWS::DMS::EventSubscription", "Properties": properties}
    account.deploy({"Thing": connection})
    account.delete()
    account.deploy({"Thing": connection}, stack="again")
    assert account.physical_id("Thing", stack="again") == "news"


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::Cassandra::Keyspace", {"KeyspaceName": "one"}),
        (
            "AWS::DMS::ReplicationInstance",
            {"ReplicationInstanceClass": "dms.t3.micro", "ReplicationInstanceIdentifier": "ferry"},
        ),
    ],
)
def test_a_taken_name_is_refused(account: Account, kind: str, properties: dict[str, Any]) -> None:
    account.deploy({"Thing": {"Type": kind, "Properties": properties}})
    with pytest.raises(Refused, match="already exists"):
        account.deploy({"Thing": {"Type": kind, "Properties": properties}}, stack="other")


def test_stack_tags_reach_a_schema_made_type_only_where_its_schema_takes_them(account: Account) -> None:
    account.deploy({"Gateway": {"Type": "AWS::EC2::VPNGateway", "Properties": {"Type": "ipsec.1"}}},
                   Tags=[{"Key": "Phase", "Value": "dev"}])  # fmt: skip
    tags = account.client("ec2").describe_vpn_gateways()["VpnGateways"][0]["Tags"]
    assert {"Key": "Phase", "Value": "dev"} in tags


def test_an_attribute_that_the_type_does_not_have_is_refused(account: Account) -> None:
    with pytest.raises(Exception, match="does not support attribute type Nonsense in Fn::GetAtt"):
        account.deploy({"Thing": REPLICATION_INSTANCE}, sections=outputs(X={"Fn::GetAtt": ["Thing", "Nonsense"]}))


def test_a_type_that_the_registry_does_not_have_is_refused(account: Account) -> None:
    with pytest.raises(Exception, match=r"Unrecognized resource types: \[AWS::Nothing::Here\]"):
        account.deploy({"Thing": {"Type": "AWS::Nothing::Here"}})


def test_retained_resources_stay(account: Account) -> None:
    account.deploy({"Gateway": {"Type": "AWS::EC2::VPNGateway", "DeletionPolicy": "Retain",
                                "Properties": {"Type": "ipsec.1"}}})  # fmt: skip
    gateway = account.physical_id("Gateway")
    account.delete()
    found = account.client("ec2").describe_vpn_gateways(VpnGatewayIds=[gateway])["VpnGateways"]
    assert [each["VpnGatewayId"] for each in found] == [gateway]


def test_every_type_of_the_registry_can_be_made_up() -> None:
    program = (
        "from builders import resource_types\n"
        "from builders.cloud.cloudformation import attributes\n"
        "for name in sorted(attributes.names()):\n"
        "    kind = resource_types.load(name)\n"
        "    identity = attributes.identity(kind, 'Logical', 'stack', {})\n"
        "    assert set(identity) == set(kind.identifiers), name\n"
        "    made = attributes.complete(kind, 'Logical', 'stack', {}, identity)\n"
        "    assert not any(value is None for value in made.values()), name\n"
        "    list(kind.validator.iter_errors({}))\n"
    )
    answer = warm.run([sys.executable, "-c", program])
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_change_of_a_nested_create_only_property_makes_a_new_resource(account: Account) -> None:
    def endpoint(authentication: str, database: str) -> dict[str, Any]:
        settings = {"AuthType": authentication, "DatabaseName": database}
        properties = {"EndpointType": "source", "EngineName": "mongodb", "MongoDbSettings": settings}
        return {"Endpoint": {"Type": "AWS::DMS::Endpoint", "Properties": properties}}

    account.deploy(endpoint("no", "one"))
    first = account.physical_id("Endpoint")
    account.deploy(endpoint("no", "two"))
    assert account.physical_id("Endpoint") == first
    account.deploy(endpoint("password", "two"))
    assert account.physical_id("Endpoint") != first
