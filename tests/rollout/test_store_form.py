"""The stored form stays: its keys and bytes are those that other versions of Stackferry read and write."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import pytest

from builders.aws.objects import Objects, StoredObject
from builders.rollout.lifecycle.retained import RetainedList, RetainedResource
from builders.rollout.model import DesiredState, Permissions, PlainStackSpec, Preferences, StackSetSpec, Target
from builders.rollout.plan.calls import Action, Call
from builders.rollout.state.journal import MOST_ENTRIES, Command, Entry, EntryState, Run
from builders.rollout.state.serialization import Folder, to_json
from builders.rollout.state.store import OverrideCache, Store

ONE, OTHER = "111111111111", "222222222222"
EAST, WEST = "us-east-1", "eu-west-1"
TEMPLATE = '{"Resources": {}}'
BEGAN = "2026-11-23T12:00:00+00:00"


class Bucket(Objects):
    """Objects in memory, by key."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get(self, _bucket: str, key: str) -> tuple[bytes, str] | None:
        return (self.objects[key], _etag(self.objects[key])) if key in self.objects else None

    def put(self, _bucket: str, key: str, body: bytes, expected: str | None = None) -> str:
        self.objects[key] = body
        return _etag(body)

    def exists(self, _bucket: str, key: str) -> bool:
        return key in self.objects

    def create(self, bucket: str, key: str, body: bytes) -> StoredObject:
        return StoredObject("", self.put(bucket, key, body))

    def holds(self, key: str, value: Any) -> bool:
        """Tell whether an object is exactly this value: compact, its keys sorted."""
        return self.objects[key] == json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _etag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def digest_of(value: Any) -> str:
    return _etag(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def store(bucket: Bucket) -> Store:
    return Store(bucket, "artifacts", "dev")


def call(overrides: dict[str, str] | None = None) -> Call:
    return Call(Action.UPDATE, "network", "stackferry-network-dev", (ONE, OTHER), (EAST,), overrides)


STORED_CALL = {
    "action": "UpdateStackInstances",
    "layer": "network",
    "set_name": "stackferry-network-dev",
    "accounts": [ONE, OTHER],
    "regions": [EAST],
    "overrides": None,
    "retain": False,
}
FAILED = {"operation_id": "one", "step": STORED_CALL, "state": "OVER", "missed": [[ONE, EAST]]}
SUBMITTING = {
    "operation_id": "two",
    "step": {**STORED_CALL, "overrides": {"Size": "2"}},
    "state": "SUBMITTING",
    "missed": [],
}


def test_a_run_is_stored_with_its_operations(store: Store, bucket: Bucket) -> None:
    begun = Run("run", Command.DETACH, "ba9876543210", "owner", BEGAN, ("network/Vpc",), to="0123456789ab")
    store.journal.begin(dataclasses.replace(begun, by="arn:aws:iam::111111111111:user/ann"))
    store.journal.record(
        Entry("one", call(), EntryState.OVER, (Target(ONE, EAST),)),
        Entry("two", call({"Size": "2"}), EntryState.SUBMITTING),
    )
    run = {
        "id": "run",
        "command": "remove --account",
        "release": "ba9876543210",
        "owner": "owner",
        "began": BEGAN,
        "acknowledged": ["network/Vpc"],
        "status": "RUNNING",
        "entries": [FAILED, SUBMITTING],
        "good": False,
        "to": "0123456789ab",
        "by": "arn:aws:iam::111111111111:user/ann",
    }
    assert bucket.holds("rollout/dev/run.json", {"run": run, "older": [], "hold": None})


def test_the_outcomes_that_earlier_versions_stored_with_operations_are_passed_over(
    store: Store, bucket: Bucket
) -> None:
    run = Run("run", Command.APPLY, "0123456789ab", "owner", BEGAN)
    moved = to_json({"entries": [{**FAILED, "outcome": "FAILED"}]})
    page = f"rollout/dev/runs/run/0000-{hashlib.sha256(moved).hexdigest()[:32]}.json"
    stored = json.loads(to_json(run)) | {"entries": [{**SUBMITTING, "outcome": ""}]}
    bucket.put("", page, moved)
    bucket.put("", "rollout/dev/run.json", to_json({"run": stored, "older": [page], "hold": None}))
    failed = Entry("one", call(), EntryState.OVER, (Target(ONE, EAST),))
    assert store.journal.take_over("another").entries == (
        failed,
        Entry("two", call({"Size": "2"}), EntryState.SUBMITTING),
    )


def test_operations_that_moved_out_are_stored_under_their_content(store: Store, bucket: Bucket) -> None:
    store.journal.begin(Run("run", Command.APPLY, "0123456789ab", "owner", BEGAN))
    entries = [Entry(f"number {each}", call(), EntryState.OVER) for each in range(MOST_ENTRIES + 1)]
    store.journal.record(*entries)
    moved = [
        {"operation_id": each.operation_id, "step": STORED_CALL, "state": "OVER", "missed": []} for each in entries
    ]
    key = f"rollout/dev/runs/run/0000-{digest_of({'entries': moved})[:32]}.json"
    assert bucket.holds(key, {"entries": moved})
    assert json.loads(bucket.objects["rollout/dev/run.json"])["older"] == [key]


def test_runs_that_ended_are_stored_in_the_history(store: Store, bucket: Bucket) -> None:
    store.journal.begin(Run("first", Command.APPLY, "0123456789ab", "owner", BEGAN))
    store.journal.close(good=True)
    store.journal.begin(Run("second", Command.REMOVE, "", "owner", BEGAN))
    ended = {
        "run": "first",
        "command": "apply",
        "release": "0123456789ab",
        "began": BEGAN,
        "status": "DONE",
        "good": True,
        "to": "",
    }
    assert bucket.holds("rollout/dev/history.json", {"runs": [ended]})


def test_overrides_are_stored_by_operation_and_region(store: Store, bucket: Bucket) -> None:
    created = Call(Action.CREATE, "network", "stackferry-network-dev", (ONE, OTHER), (EAST, WEST), {"Size": "2"})
    updated = Call(Action.UPDATE, "network", "stackferry-network-dev", (OTHER,), (EAST,))
    cache = OverrideCache()
    cache.apply([Entry("one", created, EntryState.OVER), Entry("two", updated, EntryState.OVER)])
    store.save_overrides(cache)
    group = {"layer": "network", "overrides": {"Size": "2"}}
    groups = [
        {**group, "operation_id": "one", "places": {EAST: [ONE], WEST: [ONE, OTHER]}},
        {**group, "operation_id": "two", "places": {EAST: [OTHER]}},
    ]
    assert bucket.holds("rollout/dev/known.json", {"groups": groups, "reached": {}})


def test_a_release_keeps_its_id_and_its_templates_their_names(store: Store, bucket: Bucket) -> None:
    overrides = {Target(ONE, EAST): {}, Target(OTHER, WEST): {"Size": "2"}, Target(ONE, WEST): {"Size": "2"}}
    desired = DesiredState(
        phase="dev",
        suffix="dev",
        sets={"network": StackSetSpec("network", "stackferry-network-dev", TEMPLATE, {"Size": "1"}, overrides)},
        plain={"phase_routes": PlainStackSpec("phase_routes", OTHER, "{}", {Target(ONE, EAST): {"Id": "tgw"}})},
        needs={"network": frozenset(), "phase_routes": frozenset({"network"})},
        waves=(),
        regions=(EAST, WEST),
        preferences=Preferences(),
        permissions=Permissions(),
        tags={"Environment": "dev"},
        packages=("rotation-1.zip",),
        digests={"rotation-1.zip": "0" * 64},
    )
    set_text, plain_text = (hashlib.sha256(each.encode()).hexdigest() for each in (TEMPLATE, "{}"))
    manifest = {
        "phase": "dev",
        "suffix": "dev",
        "sets": {
            "network": {
                "name": "stackferry-network-dev",
                "template": set_text,
                "parameters": {"Size": "1"},
                "overrides": [
                    {"values": {}, "places": {EAST: [ONE]}},
                    {"values": {"Size": "2"}, "places": {WEST: [ONE, OTHER]}},
                ],
            }
        },
        "plain": {
            "phase_routes": {
                "account": OTHER,
                "template": plain_text,
                "parameters": [{"values": {"Id": "tgw"}, "places": {EAST: [ONE]}}],
            }
        },
        "needs": {"network": [], "phase_routes": ["network"]},
        "tags": {"Environment": "dev"},
        "packages": ["rotation-1.zip"],
        "digests": {"rotation-1.zip": "0" * 64},
    }
    release = digest_of(manifest)[:32]
    assert store.releases.save(desired) == release
    assert bucket.holds(f"rollout/dev/releases/{release}.json", manifest)
    assert bucket.objects[f"rollout/content/{set_text}"] == TEMPLATE.encode()
    assert bucket.objects[f"rollout/content/{plain_text}"] == b"{}"
    del manifest["digests"]
    old = digest_of(manifest)[:12]
    bucket.put(
        "", f"rollout/dev/releases/{old}.json", json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    )
    assert store.releases.load(old).desired_state(desired) == dataclasses.replace(desired, digests={})


def test_retained_resources_are_stored_with_their_target(bucket: Bucket) -> None:
    retained = RetainedResource(
        "database",
        Target(ONE, EAST),
        "arn:stack",
        "Database",
        "AWS::RDS::DBInstance",
        "payments",
        "Snapshot",
        "db-1",
        ("by-hand",),
    )
    RetainedList(Folder(bucket, "artifacts", "dev")).update([retained])
    stored = {
        "layer": "database",
        "place": [ONE, EAST],
        "stack_id": "arn:stack",
        "logical_id": "Database",
        "type": "AWS::RDS::DBInstance",
        "physical_id": "payments",
        "policy": "Snapshot",
        "identity": "db-1",
        "before": ["by-hand"],
    }
    assert bucket.holds("rollout/dev/left.json", {"left": [stored]})
