"""Resources that a stack retains, the way in which each is purged, and instances that are detached. Pure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builders.aws.stacks import StackResource
from builders.rollout.lifecycle.retained import Disposal, RetainedResource, purge_order, retained_resources
from builders.rollout.lifecycle.rollback import detach_calls
from builders.rollout.model import Instance, StackSet, Status, Target
from builders.rollout.plan.calls import Action, Call

HERE, THERE = Target("111111111111", "us-east-1"), Target("111111111111", "eu-west-1")
OTHER = Target("222222222222", "us-east-1")
REGIONS = ("us-east-1", "eu-west-1")


def left(type_name: str, policy: str = "Retain", **more: Any) -> RetainedResource:
    """Something that was left."""
    return RetainedResource("database", HERE, "arn:stack", "Thing", type_name, "thing-1", policy, **more)


def of_template(**resources: dict[str, Any]) -> dict[str, str]:
    """The policies of what a template leaves, where everything that it declares was made."""
    made = [StackResource(name, each["Type"], f"{name}-1", "CREATE_COMPLETE") for name, each in resources.items()]
    found = retained_resources("database", HERE, "arn:stack", json.dumps({"Resources": resources}), made)
    return {each.logical_id: each.policy for each in found}


def test_a_resource_with_a_retaining_policy_is_retained() -> None:
    assert of_template(
        Kept={"Type": "AWS::KMS::Key", "DeletionPolicy": "Retain"},
        Role={"Type": "AWS::IAM::Role", "DeletionPolicy": "RetainExceptOnCreate"},
        Gone={"Type": "AWS::SQS::Queue"},
        Said={"Type": "AWS::SQS::Queue", "DeletionPolicy": "Delete"},
    ) == {"Kept": "Retain", "Role": "RetainExceptOnCreate"}


def test_a_database_without_a_policy_leaves_a_snapshot_unless_it_belongs_to_a_cluster() -> None:
    assert of_template(
        Alone={"Type": "AWS::RDS::DBInstance"},
        Member={"Type": "AWS::RDS::DBInstance", "Properties": {"DBClusterIdentifier": "cluster"}},
    ) == {"Alone": "Snapshot"}


def test_a_resource_that_a_condition_left_out_is_not_retained() -> None:
    template = json.dumps({"Resources": {"Key": {"Type": "AWS::KMS::Key", "DeletionPolicy": "Retain"}}})

    assert retained_resources("foundation", HERE, "arn:stack", template, []) == ()


@pytest.mark.parametrize(
    ("type_name", "policy", "disposal"),
    [
        ("AWS::SecretsManager::Secret", "Retain", Disposal.SECRET),
        ("AWS::KMS::Key", "RetainExceptOnCreate", Disposal.KEY),
        ("AWS::RDS::DBInstance", "Snapshot", Disposal.SNAPSHOT),
        ("AWS::RDS::DBInstance", "Retain", Disposal.BY_HAND),
        ("AWS::Logs::LogGroup", "Retain", Disposal.LOG_GROUP),
        ("AWS::IAM::Role", "RetainExceptOnCreate", Disposal.ROLE),
        ("AWS::S3::Bucket", "Retain", Disposal.BY_HAND),
    ],
)
def test_each_type_has_its_disposal(type_name: str, policy: str, disposal: Disposal) -> None:
    assert left(type_name, policy).disposal is disposal


def test_a_type_that_is_not_known_comes_with_the_command_that_deletes_it() -> None:
    assert left("AWS::S3::Bucket").by_hand == (
        "aws cloudcontrol delete-resource --region us-east-1 --type-name AWS::S3::Bucket --identifier thing-1"
    )


def test_the_final_snapshot_is_the_last_one() -> None:
    database = left("AWS::RDS::DBInstance", "Snapshot", snapshots=("monday",))

    assert database.final_snapshot(["monday", "by-hand", "at-the-end"]) == "at-the-end"


def test_a_snapshot_that_was_there_before_is_not_the_final_one() -> None:
    assert left("AWS::RDS::DBInstance", "Snapshot", snapshots=("monday",)).final_snapshot(["monday"]) == ""


def test_a_key_goes_after_what_it_reads() -> None:
    found = purge_order([left("AWS::KMS::Key"), left("AWS::SecretsManager::Secret"), left("AWS::Logs::LogGroup")])

    assert found[-1].type == "AWS::KMS::Key"


def state(**statuses: Status) -> StackSet:
    """A set with an instance at HERE, THERE and OTHER."""
    targets = {"here": HERE, "there": THERE, "other": OTHER}
    instances = {target: Instance(target, statuses.get(name, Status.CURRENT), "") for name, target in targets.items()}
    return StackSet("network", "stackferry-network-dev", "{}", {}, {}, instances)


def retaining(*accounts: str, regions: tuple[str, ...]) -> Call:
    """The deletion that keeps the stacks."""
    return Call(Action.DELETE, "network", "stackferry-network-dev", accounts, regions, retain=True)


def test_an_account_that_is_gone_loses_its_instances_in_all_regions_and_keeps_its_stacks() -> None:
    assert detach_calls({"network": state()}, ["111111111111"], [], REGIONS) == {
        "network": [retaining("111111111111", regions=REGIONS)]
    }


def test_an_account_without_instances_loses_nothing() -> None:
    assert detach_calls({"network": state()}, ["333333333333"], [], REGIONS) == {}


def test_an_account_that_is_still_reached_loses_only_its_inoperable_instances() -> None:
    found = detach_calls({"network": state(there=Status.INOPERABLE)}, ["111111111111"], ["111111111111"], REGIONS)

    assert found == {"network": [retaining("111111111111", regions=("eu-west-1",))]}


def test_an_account_that_is_not_reached_any_more_loses_everything() -> None:
    assert detach_calls({"network": state()}, ["222222222222"], ["111111111111"], REGIONS) == {
        "network": [retaining("222222222222", regions=("us-east-1",))]
    }


def test_an_account_that_was_not_asked_for_keeps_even_its_inoperable_instances() -> None:
    assert detach_calls({"network": state(other=Status.INOPERABLE)}, ["111111111111"], ["111111111111"], REGIONS) == {}
