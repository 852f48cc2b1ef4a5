"""Templates gone wrong: a sound one, changed at seeded places into something that nobody should send."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

SOUND: dict[str, Any] = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Description": "sound",
    "Metadata": {"Anything": [1, {"goes": True}]},
    "Parameters": {
        "Word": {"Type": "String", "Default": "on", "AllowedValues": ["on", "off"], "Description": "a word"},
        "Count": {"Type": "Number", "Default": 3, "MinValue": 1, "MaxValue": 60},
        "Names": {"Type": "CommaDelimitedList", "Default": "a,b"},
        "Hidden": {"Type": "String", "NoEcho": True, "Default": "x", "MinLength": 1},
    },
    "Rules": {"Fits": {"Assertions": [{"Assert": {"Fn::Contains": [["on", "off"], {"Ref": "Word"}]}}]}},
    "Mappings": {"Sizes": {"on": {"Seconds": "30", "Hosts": ["a", "b"]}, "off": {"Seconds": "40", "Hosts": ["c"]}}},
    "Conditions": {
        "On": {"Fn::Equals": [{"Ref": "Word"}, "on"]},
        "Both": {"Fn::And": [{"Condition": "On"}, {"Fn::Not": [{"Fn::Equals": [{"Ref": "Count"}, 2]}]}]},
    },
    "Resources": {
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "DeletionPolicy": "Delete",
            "Metadata": {"Word": {"Ref": "Word"}},
            "Properties": {
                "DisplayName": {"Fn::Sub": ["${Word}-${Last}", {"Last": {"Fn::Select": [1, {"Ref": "Names"}]}}]}
            },
        },
        "Queue": {
            "Type": "AWS::SQS::Queue",
            "DependsOn": ["Topic"],
            "Condition": "Both",
            "Properties": {
                "VisibilityTimeout": {"Fn::FindInMap": ["Sizes", {"Ref": "Word"}, "Seconds"]},
                "Tags": [{"Key": "Topic", "Value": {"Fn::GetAtt": ["Topic", "TopicName"]}}],
            },
        },
        "Words": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {
                "Type": "String",
                "Value": {"Fn::If": ["On", {"Fn::Join": [",", {"Ref": "Names"}]}, {"Ref": "AWS::NoValue"}]},
            },
        },
        "Group": {
            "Type": "AWS::DMS::EventSubscription",
            "Properties": {"SnsTopicArn": {"Ref": "Topic"}, "Enabled": {"Fn::If": ["On", True, False]}},
        },
    },
    "Outputs": {
        "Arn": {"Value": {"Ref": "Topic"}, "Description": "the topic"},
        "Zones": {"Value": {"Fn::Join": [",", {"Fn::GetAZs": ""}]}},
        "Name": {
            "Condition": "Both",
            "Value": {"Fn::GetAtt": "Queue.QueueName"},
            "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-q"}},
        },
    },
}

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**30, "", " ", "x", "Topic", "Nobody", "Word", "AWS::Region", "AWS::NoValue"),
    *("${", "${}", "${!x}", "${Nobody.Arn}", "{{resolve:ssm:/no}}", "{{resolve:x:y}}", "]]>&<\u0001\ud83d", "a" * 300),
    *([], {}, [[]], [None], {"": ""}, {"Ref": "Nobody"}, {"Ref": ["Word"]}, {"Ref": "Queue"}, {"Ref": "AWS::StackId"}),
    *({"Fn::GetAtt": []}, {"Fn::GetAtt": ["Topic"]}, {"Fn::GetAtt": "Topic.No"}, {"Fn::GetAtt": {"Ref": "Topic"}}),
    *({"Fn::Sub": []}, {"Fn::Sub": ["${A}", []]}, {"Fn::Join": "x"}, {"Fn::Join": ["", "x"]}, {"Fn::Split": ["", "x"]}),
    *({"Fn::Select": [9, ["a"]]}, {"Fn::Select": ["x", ["a"]]}, {"Fn::If": ["On"]}, {"Fn::If": ["Nobody", 1, 2]}),
    *({"Fn::FindInMap": ["Sizes", "no", "no"]}, {"Fn::FindInMap": ["Sizes", {"Ref": "Nobody"}, "x"]}),
    *({"Fn::Equals": ["a"]}, {"Fn::Not": "x"}, {"Fn::And": []}, {"Condition": "Both"}, {"Fn::ImportValue": "no"}),
    *({"Fn::Nothing": 1}, {"Fn::Transform": {"Name": "No"}}, {"Fn::Transform": "x"}, {"Fn::Cidr": [1]}),
    *({"Fn::Base64": {"a": 1}}, {"Fn::GetAZs": ["x"]}, {"Fn::Length": "x"}, {"Fn::ToJsonString": {}}),
)  # fmt: skip


def mutated(seed: int) -> str:
    """Return the body of a template with one to three things wrong, or, now and then, one that does not parse."""
    chance = random.Random(seed)
    template: Any = copy.deepcopy(SOUND)
    for _ in range(chance.randint(1, 3)):
        template = _changed(template, chance)
    body = json.dumps(template)
    if chance.random() < 0.05:
        cut = chance.randrange(len(body))
        return body[:cut] + chance.choice(["", "}", "[", "\t", "&a", "*a", "!Ref", "\x00"]) + body[cut + 1 :]
    return body


def _changed(template: Any, chance: random.Random) -> Any:
    """Change one place: put a value there, take it away, rename it, swap it with another, or wrap it."""
    places = list(_places(template, ()))
    path = chance.choice(places)
    owner: Any = template
    for key in path[:-1]:
        owner = owner[key]
    key, value = path[-1], owner[path[-1]]
    what = chance.choice(["put", "put", "put", "take", "rename", "swap", "wrap", "add"])
    if what == "put":
        owner[key] = copy.deepcopy(chance.choice(_VALUES))
    elif what == "take":
        del owner[key]
    elif what == "rename" and isinstance(owner, dict):
        owner[chance.choice(["x-y", "", "Topic", "Type", "Ref", "Fn::If", "Ä", "1", "Other"])] = owner.pop(key)
    elif what == "swap":
        other = template
        elsewhere = chance.choice(places)
        for step in elsewhere:
            other = other[step]
        owner[key] = copy.deepcopy(other)
    elif what == "wrap":
        owner[key] = chance.choice(
            [[value], {"Ref": value}, {"Fn::Sub": value}, {"Fn::If": ["On", value, value]}, {"x": value}]
        )
    elif isinstance(value, dict):
        value[chance.choice(["Extra", "Properties", "Condition", "Transform", "Ref"])] = copy.deepcopy(
            chance.choice(_VALUES)
        )
    return template


def _places(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(node, (dict, list)):
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            yield from _places(value, (*path, key))
