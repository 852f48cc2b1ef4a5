"""Promises of `Stack` to every layer, and its refusals."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from typing import Any

import pytest
import troposphere
from awacs import s3
from troposphere import Equals, Parameter, Ref, Sub, Tags, ec2, sns, ssm

from builders import catalog, policies
from builders.errors import LayerError
from builders.stack import Export, Stack, Value

TOPIC_ARN = Export("topics", "TopicArn", "the topic")


@pytest.fixture
def stack() -> Stack:
    return Stack("topics", "Topics of a phase.")


def test_every_template_takes_the_parameters_that_names_and_tags_need(stack: Stack) -> None:
    stack.add(sns.Topic("Topic"))
    assert set(stack.to_dict()["Parameters"]) == {
        "EnvironmentSuffix",
        "MigrationPhase",
        "CostCenter",
        "ComplianceScope",
    }


def test_a_name_ends_with_the_environment_suffix(stack: Stack) -> None:
    assert stack.name("topic").to_dict() == {"Fn::Sub": "topic-${EnvironmentSuffix}"}


def test_a_resource_that_can_carry_tags_carries_all_of_them(stack: Stack) -> None:
    stack.add(sns.Topic("AlarmTopic"))
    tags = stack.to_dict()["Resources"]["AlarmTopic"]["Properties"]["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {
        "Name": {"Fn::Sub": "alarm-topic-${EnvironmentSuffix}"},
        "Environment": {"Ref": "EnvironmentSuffix"},
        "MigrationPhase": {"Ref": "MigrationPhase"},
        "CostCenter": {"Ref": "CostCenter"},
        "ComplianceScope": {"Ref": "ComplianceScope"},
    }


def test_a_type_that_takes_its_tags_as_a_map_gets_a_map(stack: Stack) -> None:
    stack.add(ssm.Parameter("Setting", Type="String", Value="on"))
    tags = stack.to_dict()["Resources"]["Setting"]["Properties"]["Tags"]
    assert tags["Environment"] == {"Ref": "EnvironmentSuffix"}


def test_a_resource_that_cannot_carry_tags_has_none(stack: Stack) -> None:
    stack.add(ec2.VPCDHCPOptionsAssociation("Association", DhcpOptionsId="dopt-1", VpcId="vpc-1"))
    assert "Tags" not in stack.to_dict()["Resources"]["Association"]["Properties"]


def test_the_name_of_an_export_carries_the_layer_and_the_suffix(stack: Stack) -> None:
    stack.export(TOPIC_ARN, "arn")
    assert stack.to_dict()["Outputs"]["TopicArn"] == {
        "Description": "the topic",
        "Value": "arn",
        "Export": {"Name": {"Fn::Sub": "topics-TopicArn-${EnvironmentSuffix}"}},
    }


def test_an_import_asks_for_the_name_under_which_the_other_layer_exports(stack: Stack) -> None:
    alarms = Stack("alarms", "Alarms of a phase.")
    stack.export(TOPIC_ARN, "arn")
    exported = stack.to_dict()["Outputs"]["TopicArn"]["Export"]["Name"]
    assert alarms.import_value(TOPIC_ARN).to_dict() == {"Fn::ImportValue": exported}


def test_an_output_with_a_condition_exists_only_where_it_holds(stack: Stack) -> None:
    name = stack.condition("HasTopic", Equals(Ref("CostCenter"), ""))
    stack.output("TopicName", "name", "the topic's name", condition=name)
    assert stack.to_dict()["Outputs"]["TopicName"]["Condition"] == "HasTopic"


def test_a_rule_has_its_sentence_and_its_condition(stack: Stack) -> None:
    assertion, when = Equals("a", "a"), Equals("b", "b")
    stack.rule("Sane", assertion, "a is a", when=when)
    assert stack.to_dict()["Rules"]["Sane"] == {
        "Assertions": [{"Assert": {"Fn::Equals": ["a", "a"]}, "AssertDescription": "a is a"}],
        "RuleCondition": {"Fn::Equals": ["b", "b"]},
    }


def _twice(stack: Stack, name: str, *arguments: Any) -> None:
    for _ in range(2):
        getattr(stack, name)(*arguments)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("parameter", [Parameter("Port", Type="Number")], "topics: parameter Port is declared twice"),
        ("condition", ["HasPort", Equals("a", "b")], "topics: condition HasPort is declared twice"),
        ("rule", ["Sane", Equals("a", "b"), "a is b"], "topics: rule Sane is declared twice"),
        ("output", ["Port", "1", "the port"], "topics: output Port is declared twice"),
        ("export", [TOPIC_ARN, "arn"], "topics: output TopicArn is declared twice; an export is an output too"),
    ],
)
def test_what_is_declared_twice_is_refused(stack: Stack, method: str, arguments: list[Any], message: str) -> None:
    with pytest.raises(LayerError, match=f"^{re.escape(message)}"):
        _twice(stack, method, *arguments)


def test_a_logical_id_that_is_taken_is_refused(stack: Stack) -> None:
    stack.add(sns.Topic("Topic"))
    with pytest.raises(LayerError, match=r"^topics: resource Topic is added twice; logical ids are unique"):
        stack.add(sns.Topic("Topic"))


def test_a_resource_that_brings_its_own_tags_is_refused(stack: Stack) -> None:
    with pytest.raises(LayerError, match=r"^topics: Topic brings its own tags; leave them to Stack.add"):
        stack.add(sns.Topic("Topic", Tags=Tags(Owner="me")))


def test_an_export_in_another_layers_name_is_refused(stack: Stack) -> None:
    foreign = Export("network", "VpcId", "the VPC")
    with pytest.raises(LayerError, match=r"^topics: cannot export VpcId for layer network; each exports its own"):
        stack.export(foreign, "vpc-1")


@pytest.mark.parametrize("name", catalog.layer_names())
def test_a_layer_is_written_as_troposphere_writes_it(name: str) -> None:
    stack = catalog.load(name).build()
    assert stack.to_dict() == json.loads(stack.template.to_json())


@pytest.mark.parametrize(
    "value",
    [
        OrderedDict(a=Ref("B"), b=OrderedDict(c=(Ref("B"), [Ref("C")]))),
        Export("network", "VpcId", "the VPC"),
        Tags(Owner="me"),
        policies.document(policies.allow("Read", [s3.GetObject], [Sub("${A}")])),
        [1, 1.5, True, None, "text", {}, (), {"a": ()}],
    ],
)
def test_any_value_is_written_as_troposphere_writes_it(stack: Stack, value: Any) -> None:
    stack.template.set_metadata({"Value": value})
    written = stack.to_dict()["Metadata"]
    assert repr(written) == repr(troposphere.encode_to_dict({"Value": value}))


def test_what_troposphere_refuses_is_refused_while_a_template_is_written(stack: Stack) -> None:
    stack.add(ec2.Subnet("Subnet", CidrBlock="10.0.0.0/24"))
    with pytest.raises(ValueError, match="VpcId required"):
        stack.to_dict()
    assert ec2.VPC("Vpc", CidrBlock=Ref("Range")).to_dict()["Properties"] == {"CidrBlock": {"Ref": "Range"}}


class Range(Value):
    """A range, and its port where it has one of its own."""

    cidr: str
    port: int = 5432


def test_a_value_has_its_parts_and_those_that_its_class_has_by_default() -> None:
    own, common = Range("10.0.0.0/16", port=1150), Range(cidr="10.1.0.0/16")
    assert [(each.cidr, each.port) for each in (own, common)] == [("10.0.0.0/16", 1150), ("10.1.0.0/16", 5432)]


@pytest.mark.parametrize(
    ("parts", "named"),
    [((), {}), ((), {"port": 1}), (("a", 1, 2), {}), (("a",), {"cidr": "a"}), (("a",), {"zone": "a"})],
)
def test_a_value_without_a_part_or_with_another_one_is_refused(parts: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"^Range has the parts cidr, port, each once$"):
        Range(*parts, **named)
