"""A release is put back as it was, from what is kept by content."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st

from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.model import DesiredState, Permissions, PlainStackSpec, Preferences, StackSetSpec, Target, Wave
from builders.rollout.state.journal import Command, Run
from builders.rollout.state.releases import Release, _release
from builders.rollout.state.serialization import by_values, from_json, to_json, ungrouped
from builders.rollout.state.store import Store

from .conftest import Administrator

EAST, WEST = "us-east-1", "eu-west-1"
ONE, OTHER = "111111111111", "222222222222"


def phase(**values: str) -> DesiredState:
    overrides = {Target(ONE, EAST): {}, Target(OTHER, WEST): {"Size": "2"}, Target(ONE, WEST): {"Size": "2"}}
    template = json.dumps({"Resources": {}})
    return DesiredState(
        phase="dev",
        suffix="dev",
        sets={
            "network": StackSetSpec("network", "stackferry-network-dev", template, {"Size": "1", **values}, overrides),
            "database": StackSetSpec("database", "stackferry-database-dev", template, {}, {Target(ONE, EAST): {}}),
        },
        plain={"phase_routes": PlainStackSpec("phase_routes", OTHER, "{}", {Target(ONE, EAST): {"Id": "tgw"}})},
        needs={"network": frozenset(), "database": frozenset({"network", "phase_routes"})},
        waves=(Wave("all", (ONE, OTHER)),),
        regions=(EAST, WEST),
        preferences=Preferences(),
        permissions=Permissions(),
        tags={"Environment": "dev"},
        packages=("rotation-1.zip",),
    )


@pytest.fixture
def client(administrator: Administrator) -> Client:
    return administrator.client()


@pytest.fixture
def store(administrator: Administrator, client: Client) -> Store:
    return Store(client.objects(EAST), administrator.bucket(), "dev")


def test_a_release_is_deployed_again_as_it_was_in_todays_way(store: Store) -> None:
    release_id = store.releases.save(phase())
    today = dataclasses.replace(phase(Size="9"), waves=(), regions=(WEST,), preferences=Preferences("5"))
    found = store.releases.load(release_id).desired_state(today)
    assert found == dataclasses.replace(phase(), waves=(), regions=(WEST,), preferences=Preferences("5"))


def test_the_same_content_is_the_same_release_and_is_uploaded_once(store: Store, client: Client) -> None:
    first = store.releases.save(phase())
    before = Counter(client.calls.counts)
    reordered = dataclasses.replace(
        phase(), sets=dict(reversed(list(phase().sets.items()))), preferences=Preferences("7")
    )
    assert store.releases.save(reordered) == first
    assert "s3:PutObject" not in client.calls.counts - before


def test_equal_templates_are_kept_once(store: Store, client: Client) -> None:
    store.releases.save(phase())
    assert client.calls.counts["s3:PutObject"] == 3  # two templates, one manifest


def test_other_content_is_another_release(store: Store) -> None:
    assert store.releases.save(phase()) != store.releases.save(phase(Size="2"))


def test_a_release_that_was_never_made_is_named(store: Store) -> None:
    with pytest.raises(RolloutError, match=r"^there is no release 0123456789ab of dev: s3://.* is not there$"):
        store.releases.load("0123456789ab")


@pytest.mark.parametrize("what", ["manifest", "template"])
def test_a_release_that_was_tampered_with_is_not_deployed(
    store: Store, administrator: Administrator, what: str
) -> None:
    release_id = store.releases.save(phase())
    api, bucket = administrator.api("s3"), f"artifacts-{administrator.number}-{EAST}"
    keys = [each["Key"] for each in api.list_objects_v2(Bucket=bucket)["Contents"]]
    for key in keys:
        if ("releases/" in key) is (what == "manifest"):
            api.put_object(Bucket=bucket, Key=key, Body=b"{}")
    with pytest.raises(RolloutError, match="was changed since it was written; put its first version back"):
        store.releases.load(release_id)


def test_a_release_whose_template_is_gone_says_so(store: Store, administrator: Administrator) -> None:
    release_id = store.releases.save(phase())
    api, bucket = administrator.api("s3"), f"artifacts-{administrator.number}-{EAST}"
    for each in api.list_objects_v2(Bucket=bucket, Prefix="rollout/content/")["Contents"]:
        api.delete_object(Bucket=bucket, Key=each["Key"])
    with pytest.raises(RolloutError, match=f"release {release_id} lacks a template"):
        store.releases.load(release_id)


def ended(store: Store, release: str, good: bool, command: Command = Command.APPLY, to: str = "") -> None:
    store.journal.begin(Run(f"run {len(store.journal.history())}", command, release, "owner", "2026-11-23", to=to))
    store.journal.close(good=good)


def test_the_last_good_release_is_the_newest_whose_run_ended_well(store: Store) -> None:
    assert store.last_good() is None
    ended(store, "a", True)
    ended(store, "b", True)
    ended(store, "c", False)
    ended(store, "d", True, Command.REMOVE)
    assert store.last_good() == "b"
    assert store.last_good(before="c") == "b"
    assert store.last_good(before="b") == "a"
    assert store.last_good(before="a") is None
    assert store.last_good(before="never") == "b"


def test_a_rollback_takes_back_what_came_behind_the_release_that_it_puts_back(store: Store) -> None:
    for each in "abc":
        ended(store, each, True)
    ended(store, "b, elsewhere", True, Command.ROLLBACK, to="b")
    assert store.last_good() == "b, elsewhere"
    assert store.last_good(before="b, elsewhere") == "a"
    ended(store, "d", True)
    assert store.last_good(before="d") == "b, elsewhere"


def test_a_rollback_that_failed_is_no_good_release(store: Store) -> None:
    for each in "ab":
        ended(store, each, True)
    ended(store, "a, in part", False, Command.ROLLBACK, to="a")
    assert store.last_good(before="a, in part") == "a"


texts = st.text(max_size=8)
values = st.dictionaries(texts, texts, max_size=3)
targets = st.builds(Target, st.sampled_from([ONE, OTHER, "333333333333"]), st.sampled_from([EAST, WEST]))
by_target = st.dictionaries(targets, values, max_size=6)


@given(by_target)
def test_values_by_target_survive_being_grouped(drawn: dict[Target, dict[str, str]]) -> None:
    assert ungrouped(by_values(drawn)) == drawn


@settings(deadline=None)
@given(by_target, by_target, values, values, st.lists(texts, max_size=3))
def test_any_release_survives_being_written(
    overrides: dict[Target, dict[str, str]],
    parameters: dict[Target, dict[str, str]],
    own: dict[str, str],
    tags: dict[str, str],
    packages: list[str],
) -> None:
    plain = phase()
    drawn = dataclasses.replace(
        plain,
        sets={"network": StackSetSpec("network", "name", "template", own, overrides)},
        plain={"phase_routes": PlainStackSpec("phase_routes", OTHER, "template", parameters)},
        tags=tags,
        packages=tuple(sorted(packages)),
    )
    written = _release(drawn)
    body = to_json(written)
    again = from_json(Release, body, "manifest")
    assert to_json(again) == body
    texts = {each.template: "template" for each in again.sets.values()}
    assert dataclasses.replace(again, texts=texts).desired_state(plain) == drawn
