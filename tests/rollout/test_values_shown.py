"""Plans show the old and the new value of every property that changes, once, and never a secret."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders.cloud.process import Cloud
from builders.evaluate import Evaluated
from builders.rollout.model import DeployedStack
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Group, Plan
from builders.rollout.render.plan import add_plan
from builders.stack_diff.comparison import Comparison, compare
from builders.stack_diff.effects import Change, Effect
from builders.stack_diff.exports import Imports
from builders.stack_diff.hazards import hazards_of
from builders.stack_diff.values import ChangedValue, changed_values, differing_items, shown_value

from .called import COMMON, OF_ACCOUNTS, CalledPhase
from .goldens import shown
from .planned import plan, targets

ALARM = "AWS::CloudWatch::Alarm"
TOPIC = "AWS::SNS::Topic"
SECRET = "hunter2-hunter2"


HIDDEN = {"Key": {"Type": "String", "NoEcho": "true"}}


def unfolded(made: Plan, width: int = 100) -> str:
    return " ".join(shown(add_plan, made, width=width).split())


def values(before: dict[str, Any], after: dict[str, Any], raw: Any = None, **parameters: Any) -> dict[str, Any]:
    """The changed values of one resource with these properties; `raw` is what the template says of it."""
    sides = [{"Thing": {"Type": TOPIC, "Properties": each}} for each in (before, after)]
    body = json.dumps({"Parameters": parameters, "Resources": {"Thing": {"Type": TOPIC, "Properties": raw or {}}}})
    old, new = (Evaluated(each, {}, {}, {}, ()) for each in sides)
    found = changed_values(Comparison((), old, new, templates=(body, body)), "111111111111")
    return {each.path: (each.before, each.after) for each in found}


def test_every_changed_property_has_its_old_and_its_new_value() -> None:
    before = {"Threshold": 80, "Enabled": True, "Tags": [{"Key": "a"}], "Same": 1}
    after = {"Threshold": "90", "Enabled": False, "Tags": [], "Same": "1", "New": "arn:aws:iam::111111111111:role/x"}
    assert values(before, after) == {
        "Enabled": ("true", "false"),
        "New": (None, "arn:aws:iam::${AWS::AccountId}:role/x"),
        "Tags": ('[{"Key": "a"}]', "[]"),
        "Threshold": ("80", "90"),
    }


@pytest.mark.parametrize(
    ("before", "after", "raw", "parameters"),
    [
        ({"Name": "a"}, {"Name": SECRET}, {"Name": {"Ref": "Key"}}, HIDDEN),
        ({"Name": "a"}, {"Name": f"x{SECRET}"}, {"Name": {"Fn::Sub": "x${Key}"}}, HIDDEN),
        ({"Name": {"In": "a"}}, {"Name": {"In": SECRET}}, {"Name": {"Fn::If": ["Is", {"Ref": "Key"}, ""]}}, HIDDEN),
        ({"Name": "a"}, {"Name": SECRET}, {"Fn::Transform": {"Ref": "Key"}}, HIDDEN),
        ({"MasterUserPassword": "a"}, {"MasterUserPassword": SECRET}, None, {}),
        ({"SecretString": "a"}, {"SecretString": SECRET}, None, {}),
        ({"Environment": {"API_TOKEN": "a"}}, {"Environment": {"API_TOKEN": SECRET}}, None, {}),
        ({"Users": [{"Password": "a"}]}, {"Users": [{"Password": SECRET}]}, None, {}),
        ({"Settings": "a"}, {"Settings": f"host=x;password={SECRET}"}, None, {}),
        ({"Settings": "a"}, {"Settings": json.dumps({"password": SECRET})}, None, {}),
        ({"Settings": "a"}, {"Settings": f"{{'password': '{SECRET}'}}"}, None, {}),
        *(
            ({"Variables": {name: "a"}}, {"Variables": {name: SECRET}}, None, {})
            for name in (
                *("API_KEY", "DB_SECRET", "PGPASS", "DB_PWD", "Passwd", "CREDENTIALS", "AuthKey", "PreSharedKey"),
                *("Passcode", "PASSWORD2", "PASSWORD_OLD", "DbPasswordValue"),
            )
        ),
        ({"All": [{"Name": "PGPASS", "Value": "a"}]}, {"All": [{"Name": "PGPASS", "Value": SECRET}]}, None, {}),
        ({"Pair": {"Key": "Pwd", "Value": "a"}}, {"Pair": {"Key": "Pwd", "Value": SECRET}}, None, {}),
        ({"Users": [{"Passwords": ["a"]}]}, {"Users": [{"Passwords": [SECRET]}]}, None, {}),
        ({"Users": [{"Password": {"V": "a"}}]}, {"Users": [{"Password": {"V": SECRET}}]}, None, {}),
        ({"Url": "a"}, {"Url": f"postgres://dms:{SECRET}@host/orders"}, None, {}),
        ({"Command": ["--password", "a"]}, {"Command": ["--password", SECRET]}, None, {}),
        ({"Command": "a"}, {"Command": f"load --password {SECRET}"}, None, {}),
        ({"Xml": "a"}, {"Xml": f"<password>{SECRET}</password>"}, None, {}),
        ({"Json": "a"}, {"Json": json.dumps(json.dumps(json.dumps({"password": SECRET})))}, None, {}),
        ({"Header": "a"}, {"Header": f"Authorization: Bearer {SECRET}"}, None, {}),
        ({"Key": "a"}, {"Key": f"-----BEGIN PRIVATE KEY-----\n{SECRET}"}, None, {}),
    ],
)  # fmt: skip
def test_a_secret_is_masked(before: Any, after: Any, raw: Any, parameters: Any) -> None:
    found = values(before, after, raw, **parameters)
    assert SECRET not in json.dumps(found)
    assert "****" in json.dumps(found)


NO_ECHO = {"Key": {"Type": "String", "NoEcho": True}}
HOLDER = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": {"Ref": "Key"}}}


@pytest.mark.parametrize(
    ("properties", "outputs"),
    [
        ({"DisplayName": {"Fn::GetAtt": ["Holder", "Value"]}}, {}),
        ({"DisplayName": {"Fn::Sub": "x${Holder.Value}"}}, {}),
        ({"DisplayName": {"Fn::Sub": "${Second.Value}"}}, {}),
        ({"DisplayName": {"Fn::FindInMap": ["Map", {"Ref": "Key"}, "a"]}}, {}),
        ({"DisplayName": {"Fn::Select": [{"Ref": "Key"}, ["a"]]}}, {}),
        ({"TopicName": {"Ref": "Key"}, "FifoTopic": True}, {}),
        ({}, {"Key": {"Value": {"Ref": "Key"}, "Export": {"Name": "key"}}}),
        ({}, {"Key": {"Value": "a", "Export": {"Name": {"Ref": "Key"}}}}),
    ],
)
def test_the_value_of_a_no_echo_parameter_is_in_no_value_hazard_or_error(properties: Any, outputs: Any) -> None:
    second = {"Type": HOLDER["Type"], "Properties": {"Type": "String", "Value": {"Fn::GetAtt": "Holder.Value"}}}
    things = {"Thing": {"Type": TOPIC, "Properties": properties}, "Holder": HOLDER, "Second": second}
    body = json.dumps({"Parameters": NO_ECHO, "Mappings": {"Map": {}}, "Resources": things, "Outputs": outputs})
    (target,) = targets(1, regions=("us-east-1",))
    compared = compare(DeployedStack(body, {"Key": SECRET}, "UPDATE_COMPLETE"), body, {"Key": SECRET[::-1]}, target)
    shown = changed_values(compared, target.account)
    neighbours = {"other": Imports(frozenset({"key"}), frozenset({"key"}))}
    causes = [each.causes for each in compared.changes]
    said = f"{shown} {hazards_of('layer', compared, neighbours=neighbours)} {causes} {compared.problem}"
    assert SECRET not in said
    assert SECRET[::-1] not in said


@pytest.mark.parametrize(
    ("path", "text", "shown"),
    [
        ("/Environment/Variables/DB_PASSWORD", SECRET, "****"),
        ("/MasterUserPassword", json.dumps(SECRET), "****"),
        ("/Environment/Variables", json.dumps({"PGPASS": SECRET, "HOST": "a"}), '{"PGPASS": "****", "HOST": "a"}'),
        ("/Url", json.dumps(f"postgres://dms:{SECRET}@host/orders"), "****"),
        ("/ManageMasterUserPassword", "true", "true"),
        ("/Tags/0/Value", '"a"', '"a"'),
        ("/Timeout", "30", "30"),
        ("/Name", "[" * 100_000, "[" * 100_000),
    ],
)
def test_drift_shows_a_value_and_no_secret(path: str, text: str, shown: str) -> None:
    assert shown_value(path, text) == shown


@pytest.mark.parametrize("text", ["-" * 50_000, "password" + "1" * 50_000 + "x", "token" * 10_000, "://" * 20_000])
def test_a_long_value_is_judged_at_once(text: str) -> None:
    began = time.process_time()
    values({text: {"In": "a"}, "Name": "a"}, {text: {"In": text}, "Name": text})
    assert time.process_time() - began < 2


def test_a_change_of_a_secret_in_a_list_is_seen_as_one() -> None:
    variables = [json.dumps([{"Name": "PGPASS", "Value": "****"}])] * 2
    assert differing_items(*variables) == ("****", "****")


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5_000])
def test_a_value_that_only_looks_like_json_is_shown_as_it_is(text: str) -> None:
    assert differing_items(text, "[]") == (text, "[]")


def test_what_only_sounds_like_a_secret_is_shown() -> None:
    arn, actions = "arn:aws:secretsmanager:us-east-1:222222222222:secret:orders", ["secretsmanager:GetRandomPassword"]
    after = {"GenerateSecretString": {"PasswordLength": 40}, "ManageMasterUserPassword": True, "SecretArn": "arn:x"}
    after |= {"ServiceToken": "arn:y", "Resource": [arn], "Action": actions}
    found = values({"GenerateSecretString": {"PasswordLength": 32}, "ManageMasterUserPassword": False}, after)
    assert found == {
        "Action": (None, json.dumps(actions)),
        "Resource": (None, json.dumps([arn])),
        "ServiceToken": (None, "arn:y"),
        "GenerateSecretString.PasswordLength": ("32", "40"),
        "ManageMasterUserPassword": ("false", "true"),
        "SecretArn": (None, "arn:x"),
    }


def test_the_same_change_of_144_resources_in_12_layers_is_one_line() -> None:
    names = [f"Alarm{number}" for number in range(12)]
    changes = tuple(Change(name, ALARM, Effect.MODIFY, ("Threshold",)) for name in names)
    both = tuple(ChangedValue(name, "Threshold", "80", "90") for name in names)
    groups = [Group("rest", f"layer{n}", ChangeKind.UPDATE, targets(2), changes, both) for n in range(12)]
    assert unfolded(plan(*groups)).count("Threshold") == 1
    assert "and 141 more AWS::CloudWatch::Alarm by Threshold (80 -> 90)" in unfolded(plan(*groups))


def test_values_that_differ_between_accounts_say_where() -> None:
    first, second = targets(1, regions=("us-east-1",)), targets(1, first=1, regions=("us-east-1",))
    change = Change("Vpc", "AWS::EC2::VPC", Effect.REPLACE, ("CidrBlock",))
    found = tuple(
        ChangedValue("Vpc", "CidrBlock", f"10.{number}.0.0/16", f"10.9{number}.0.0/16", where)
        for number, where in enumerate((first, second))
    )
    shown = unfolded(plan(Group("rest", "network", ChangeKind.UPDATE, first + second, (change,), found)))
    assert (
        f"by CidrBlock (10.0.0.0/16 -> 10.90.0.0/16 at {first[0]}; 10.1.0.0/16 -> 10.91.0.0/16 at {second[0]})" in shown
    )


def test_of_long_lists_only_the_items_that_differ_are_shown() -> None:
    change = Change("Group", "AWS::EC2::SecurityGroup", Effect.MODIFY, ("Rules",))
    before, after = json.dumps(["a", "b", "c"]), json.dumps(["a", "d", "c"])
    shown = unfolded(
        plan(
            Group(
                "rest",
                "network",
                ChangeKind.UPDATE,
                targets(1),
                (change,),
                (ChangedValue("Group", "Rules", before, after),),
            )
        )
    )
    assert "by Rules (b -> d)" in shown


def test_a_plan_on_the_command_line_shows_values_and_no_secret(
    cloud: Cloud, number: Callable[[], str], tmp_path: Path
) -> None:
    phase = CalledPhase(cloud, number(), [number(), number()], tmp_path)
    phase.environment("dev", **COMMON, **OF_ACCOUNTS, DisplayName="orders")
    phase.layer("network", Named={"Type": TOPIC, "Properties": {"DisplayName": "before"}})
    phase.open_accounts()
    assert phase.apply().code == 0
    phase.environment("dev", **COMMON, **OF_ACCOUNTS, DisplayName="refunds", Hidden=SECRET)
    named = {"Type": TOPIC, "Properties": {"DisplayName": {"Fn::Sub": "2${Hidden}"}}}
    phase.layer("network", parameters={"Hidden": {"Type": "String", "NoEcho": True}}, Named=named)
    shown = phase.call("plan", "--phase", "dev")
    text = " ".join(shown.out.split())
    assert "database and monitoring: 2 update each" in text
    assert "by DisplayName (orders -> refunds)" in text
    assert "Named AWS::SNS::Topic by DisplayName (**** -> ****)" in text
    planned = phase.call("plan", "--phase", "dev", "--json")
    assert {
        (each["logical_id"], each["path"], each["before"], each["after"], *each["places"])
        for group in planned.data["groups"]
        for each in group["values"]
    } == {("Topic", "DisplayName", "orders", "refunds"), ("Named", "DisplayName", "****", "****")}
    assert phase.call("plan", "--phase", "dev", "--out", phase.saved).code == 0
    assert SECRET not in shown.out + shown.err + planned.out + phase.saved.read_text(encoding="utf-8")
