"""The predicted effects of an update are what CloudFormation's engine then does, on the embedded cloud.

That engine is its own, so that this shows agreement and not AWS: new physical ids where a replacement is foretold, the
same ones where not.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cloud.conftest import Account, empty

from builders.cloud.process import Cloud
from builders.scopes import Target
from builders.stack_diff.comparison import compare
from builders.stack_diff.effects import Effect
from builders.template_bodies import DeployedStack

from .changing import layer, phase_values

_accounts = itertools.count(570_000_000_001)


@pytest.fixture
def account(cloud: Cloud) -> Iterator[Account]:
    account = Account(cloud, str(next(_accounts)))
    yield account
    empty(account)


def physical_ids(account: Account, stack: str) -> dict[str, str]:
    resources = account.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}


def deploy(account: Account, stack: str, body: str, values: Mapping[str, str]) -> dict[str, str]:
    """Create or update a stack with the parameters that its template declares; return its physical ids."""
    data = json.loads(body)
    given = {name: value for name, value in values.items() if name in data.get("Parameters", {})}
    sections = {name: part for name, part in data.items() if name != "Resources"}
    account.deploy(data["Resources"], stack, given=given, sections=sections)
    return physical_ids(account, stack)


def foretold(account: Account, stack: str, body: str, values: Mapping[str, str]) -> dict[str, Effect]:
    """The changes that an update is said to make to the stack as its account shows it."""
    api = account.client("cloudformation")
    described = api.describe_stacks(StackName=stack)["Stacks"][0]
    template = api.get_template(StackName=stack)["TemplateBody"]
    deployed = DeployedStack(
        template if isinstance(template, str) else json.dumps(template),
        {each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters", [])},
        described["StackStatus"],
    )
    comparison = compare(deployed, body, values, Target(account.number, account.region))
    return {change.logical_id: change.effect for change in comparison.changes if change.logical_id}


def check(account: Account, stack: str, body: str, values: Mapping[str, str]) -> dict[str, Effect]:
    """Foretell an update, make it, and compare: every resource has a new physical id or its old one as foretold."""
    before = physical_ids(account, stack)
    effects = foretold(account, stack, body, values)
    after = deploy(account, stack, body, values)
    assert before.keys() - after.keys() == {name for name, effect in effects.items() if effect is Effect.REMOVE}
    assert after.keys() - before.keys() == {name for name, effect in effects.items() if effect is Effect.ADD}
    renewed = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    assert renewed == {name for name, effect in effects.items() if effect is Effect.REPLACE}
    return effects


def test_replacements_follow_references_as_predicted(account: Account) -> None:
    def body(cidr: str, description: str) -> str:
        resources: dict[str, Any] = {
            "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": cidr}},
            "Routes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
            "Group": {
                "Type": "AWS::EC2::SecurityGroup",
                "Properties": {"GroupDescription": "one", "VpcId": {"Ref": "Vpc"}},
            },
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": description}},
        }
        return json.dumps({"Resources": resources})

    deploy(account, "stack", body("10.0.0.0/16", "one"), {})
    assert check(account, "stack", body("10.0.0.0/16", "two"), {}) == {"Topic": Effect.MODIFY}
    assert check(account, "stack", body("10.1.0.0/16", "two"), {}) == {
        "Vpc": Effect.REPLACE,
        "Routes": Effect.REPLACE,
        "Group": Effect.REPLACE,
    }


def test_an_endpoint_is_replaced_by_its_identifier_and_modified_by_its_port(account: Account) -> None:
    def body(identifier: str, port: int) -> str:
        properties = {"EndpointType": "source", "EngineName": "mongodb", "ServerName": "db.corp.internal", "Port": port,
                      "ResourceIdentifier": identifier, "MongoDbSettings": {"AuthType": "no"}}  # fmt: skip
        return json.dumps({"Resources": {"Endpoint": {"Type": "AWS::DMS::Endpoint", "Properties": properties}}})

    deploy(account, "stack", body("first", 27017), {})
    assert check(account, "stack", body("first", 27018), {}) == {"Endpoint": Effect.MODIFY}
    assert check(account, "stack", body("second", 27018), {}) == {"Endpoint": Effect.REPLACE}


def test_our_network_changes_its_gateway_and_its_zones_as_predicted(account: Account) -> None:
    # No `account` here, which makes the boundary, and no gateway yet.
    values = phase_values(PermissionsBoundary="", Connectivity="None")
    deploy(account, "foundation", layer("foundation"), values)
    deploy(account, "network", layer("network"), values)
    assert foretold(account, "network", layer("network"), values) == {}
    gateway = {"Type": "AWS::EC2::TransitGateway"}
    gateways = deploy(account, "gateways", json.dumps({"Resources": {"One": gateway, "Two": gateway}}), {})
    attached = {**values, "Connectivity": "TransitGateway", "TransitGatewayId": gateways["One"]}
    effects = check(account, "network", layer("network"), attached)
    assert effects["TransitGatewayAttachment"] is Effect.ADD
    effects = check(account, "network", layer("network"), {**attached, "TransitGatewayId": gateways["Two"]})
    assert effects == {"TransitGatewayAttachment": Effect.REPLACE, "OnPremisesRoute1": Effect.MODIFY}
    attached["TransitGatewayId"] = gateways["Two"]
    effects = check(account, "network", layer("network"), {**attached, "ZoneCount": "2", "CostCenter": "other"})
    assert effects["PrivateSubnet3"] is Effect.REMOVE
    assert effects["Vpc"] is Effect.MODIFY
