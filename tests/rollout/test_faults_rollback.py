"""Rollback where the way back is not straight: fewer layers, exports that came and went, and back again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders import naming
from builders.aws import stacks
from builders.errors import RolloutError
from builders.rollout.executor.context import Report
from builders.rollout.lifecycle import packages, rollback
from builders.rollout.model import DesiredState
from builders.rollout.state.journal import Command

from .conftest import Administrator
from .small_phase import SmallPhase, body, layer_set

TEMPLATES = Path(__file__).parents[2] / "templates"


@pytest.fixture
def small(administrator: Administrator, member: str) -> SmallPhase:
    return SmallPhase(administrator, [member], regions=("us-east-1",))


def release(small: SmallPhase, version: str, *layers: str) -> DesiredState:
    chosen = layers or ("network", "database")
    return small.desired(*(layer_set(layer, small.targets, body(layer, version=version)) for layer in chosen))


def back(small: SmallPhase, now: DesiredState, *, before: DesiredState) -> Report:
    """Put back the last good release before the present one, as the command does."""
    found = small.store.last_good(before=small.store.releases.save(before))
    assert found
    desired = rollback.desired_release(small.client, small.store.releases.load(found), now, small.current())
    return small.run(desired, Command.ROLLBACK, to=found)


def versions(small: SmallPhase) -> dict[str, str]:
    return {layer: version for (layer, _), version in small.versions().items()}


def importing(export: str) -> str:
    """A database that takes a certain export of the network."""
    return body("database", version=export).replace("network-Queue-", f"network-{export}-")


def exporting(export: str) -> str:
    """A network that gives a queue under a certain name."""
    return body("network", version=export).replace("network-Queue-", f"network-{export}-")


def test_a_layer_that_the_release_did_not_have_goes_before_what_it_needs(small: SmallPhase) -> None:
    assert small.run(release(small, "1")).good
    second = release(small, "2", "network", "database", "monitoring")
    assert small.run(second).good
    assert back(small, second, before=second).good
    assert versions(small) == {"network": "1", "database": "1"}
    assert "stackferry-monitoring-dev" not in small.client.sets.names()


def test_an_export_that_came_goes_only_after_its_importer(small: SmallPhase) -> None:
    first = small.desired(layer_set("network", small.targets, body("network", version="1")))
    assert small.run(first).good
    content = json.loads(body("network", version="2"))
    content["Outputs"]["Other"] = {"Value": "x", "Export": {"Name": {"Fn::Sub": "network-Other-${EnvironmentSuffix}"}}}
    second = small.desired(
        layer_set("network", small.targets, json.dumps(content)),
        layer_set("database", small.targets, importing("Other")),
    )
    assert small.run(second).good
    assert back(small, second, before=second).good
    assert versions(small) == {"network": "1"}


def test_an_export_that_went_comes_back_before_its_importer(small: SmallPhase) -> None:
    first = release(small, "1")
    assert small.run(first).good
    content = json.loads(body("network", version="2"))
    content["Outputs"] = {}
    alone = json.loads(body("database", version="2"))
    alone["Resources"]["Queue"]["Properties"]["Tags"] = [{"Key": "Version", "Value": "2"}]
    second = small.desired(
        layer_set("network", small.targets, json.dumps(content)),
        layer_set("database", small.targets, json.dumps(alone)),
    )
    assert small.run(second).good
    assert back(small, second, before=second).good
    assert versions(small) == {"network": "1", "database": "1"}


def test_a_second_rollback_goes_further_back_and_not_to_what_the_first_one_left(small: SmallPhase) -> None:
    first, second, third = (release(small, version) for version in "123")
    for each in (first, second, third):
        assert small.run(each).good
    assert back(small, third, before=third).good
    assert versions(small) == {"network": "2", "database": "2"}
    assert back(small, third, before=second).good
    assert versions(small) == {"network": "1", "database": "1"}


def with_storage(small: SmallPhase, version: str, gibibytes: str) -> DesiredState:
    content = json.loads(body("network", version=version))
    content["Parameters"]["AllocatedStorageGiB"] = {"Type": "Number", "Default": "20"}
    tags = content["Resources"]["Queue"]["Properties"]["Tags"]
    tags.append({"Key": "Storage", "Value": {"Ref": "AllocatedStorageGiB"}})
    values = {"AllocatedStorageGiB": gibibytes, "DelaySeconds": version}
    return small.desired(layer_set("network", small.targets, json.dumps(content), **values))


@pytest.mark.parametrize(("is_reached", "expected"), [(True, "40"), (False, "20")])
def test_what_no_service_takes_back_stays_as_each_stack_has_it(
    small: SmallPhase, is_reached: bool, expected: str
) -> None:
    assert small.run(with_storage(small, "1", "20")).good
    second = with_storage(small, "2", "40")
    if is_reached:
        assert small.run(second).good
    else:
        small.shut_out(small.accounts[0])
        assert not small.run(second).good
        small.let_in(small.accounts[0])
    assert back(small, second, before=second).good
    instance = small.current().sets["network"].instances[small.targets[0]]
    found = stacks.deployed(small.client.reading(small.targets[0]), instance.stack_id)
    assert found
    assert versions(small) == {"network": "1"}
    assert (found.parameters["DelaySeconds"], found.parameters["AllocatedStorageGiB"]) == ("1", expected)


def test_what_no_service_takes_back_is_named_as_the_layers_name_it() -> None:
    templates = [json.loads((TEMPLATES / f"{layer}.json").read_text()) for layer in ("database", "migration")]
    assert {name for each in templates for name in each["Parameters"]} >= naming.LASTING_PARAMETERS


def test_a_release_that_failed_is_none_to_go_back_to(small: SmallPhase) -> None:
    assert small.run(release(small, "1")).good
    small.shut_out(small.accounts[0])
    assert not small.run(release(small, "2")).good
    small.let_in(small.accounts[0])
    third = release(small, "3")
    assert small.run(third).good
    assert back(small, third, before=third).good
    assert versions(small) == {"network": "1", "database": "1"}


def test_a_release_whose_template_is_gone_from_the_bucket_is_told(small: SmallPhase) -> None:
    saved = small.store.releases.save(release(small, "1"))
    api = small.administrator.api("s3")
    for each in api.list_objects_v2(Bucket=small.bucket, Prefix="rollout/content/")["Contents"]:
        api.delete_object(Bucket=small.bucket, Key=each["Key"])
    with pytest.raises(RolloutError, match="rollout/content/"):
        small.store.releases.load(saved)


def test_a_release_whose_packages_are_gone_is_told(small: SmallPhase) -> None:
    named = {"ArtifactsBucket": small.bucket, "RotationPackageKey": "rotation/1.zip"}
    desired = small.desired(layer_set("network", small.targets, **named))
    with pytest.raises(RolloutError, match=rf"package rotation/1\.zip is not in {small.bucket} any more"):
        packages.require_packages(small.client, desired)
