"""The bucket's word on runs and releases counts only where StackSets, which its writers do not write, agrees."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import pytest

from builders.errors import RolloutError
from builders.rollout.executor.proof import is_call_of, is_deployed, require_own, require_proven
from builders.rollout.model import DesiredState, PlainStackSpec, Target
from builders.rollout.plan.calls import Action, Call
from builders.rollout.state.journal import Command, Entry, EntryState, Run
from builders.rollout.state.releases import release_id

from .conftest import Administrator
from .small_phase import LAYERS, SmallPhase, body, layer_set

NETWORK = "stackferry-network-dev"


@pytest.fixture(scope="module")
def small(cloud: Any) -> SmallPhase:
    """A phase of one layer at one target, after an apply; the tests only read it."""
    administrator = Administrator(cloud, "7" * 11 + "1")
    made = SmallPhase(administrator, [administrator.member("7" * 11 + "2")], regions=("us-east-1",))
    assert made.run(desired_of(made)).good
    return made


def desired_of(small: SmallPhase, version: str = "1") -> DesiredState:
    return small.desired(layer_set("network", small.targets, body("network", version=version)))


@pytest.fixture
def run(small: SmallPhase) -> Run:
    found = small.store.journal.run()
    assert found
    return found


@pytest.fixture
def check(small: SmallPhase) -> Callable[..., None]:
    def check(run: Run, release_here: str = "another") -> None:
        require_proven(small.client.sets, run, desired_of(small), lambda: release_here)

    return check


def test_a_run_whose_operation_aws_has_is_gone_on_with(check: Callable[..., None], run: Run) -> None:
    check(run)


@pytest.mark.parametrize(
    "forged",
    [
        {"release": "f" * 32},
        {"command": Command.REMOVE},
        {"command": Command.ROLLBACK, "to": "f" * 32},
        {"acknowledged": ("network/Queue",)},
        {"id": "20260101T000000Z-0123456789abcdef"},
    ],
    ids=", ".join,
)
def test_a_run_that_was_changed_in_the_bucket_is_refused(
    check: Callable[..., None], run: Run, forged: dict[str, Any]
) -> None:
    with pytest.raises(
        RolloutError,
        match=r"nothing but the bucket says that .* was agreed to; end it by `rollout-stacksets resume --end`",
    ):
        check(dataclasses.replace(run, **forged))


def test_an_operation_in_another_phase_s_stack_set_proves_nothing(
    check: Callable[..., None], run: Run, small: SmallPhase
) -> None:
    """A colleague who rolls out another phase gives its operations any id."""
    forged = dataclasses.replace(run, command=Command.REMOVE)
    operation, template = f"{forged.id_prefix}-network-0123456789abcdef", body("network").replace("network-Queue", "q")
    api = small.administrator.api("cloudformation")
    given = [{"ParameterKey": "EnvironmentSuffix", "ParameterValue": "eu"}]
    api.create_stack_set(StackSetName="stackferry-network-eu", TemplateBody=template, Parameters=given)
    api.update_stack_set(
        StackSetName="stackferry-network-eu", OperationId=operation, TemplateBody=template, Parameters=given
    )
    call = Call(Action.UPDATE_SET, "network", "stackferry-network-eu")
    with pytest.raises(RolloutError, match="nothing but the bucket says"):
        check(dataclasses.replace(forged, entries=(Entry(operation, call, EntryState.OVER),)))


def test_a_run_of_which_nothing_arrived_goes_on_where_it_is_what_the_files_say(
    check: Callable[..., None], run: Run, small: SmallPhase
) -> None:
    begun = dataclasses.replace(run, id="another", entries=())
    check(begun, release_id(desired_of(small)))
    with pytest.raises(RolloutError, match="nothing but the bucket says"):
        check(begun, release_id(desired_of(small, "2")))


def test_what_a_run_acknowledges_of_which_nothing_arrived_is_not_believed(
    check: Callable[..., None], run: Run, small: SmallPhase
) -> None:
    begun = dataclasses.replace(run, id="another", entries=(), acknowledged=("network/Queue",))
    with pytest.raises(RolloutError, match="nothing but the bucket says"):
        check(begun, release_id(desired_of(small)))


@pytest.mark.parametrize(
    "forged",
    [
        {"action": Action.DELETE},
        {"action": Action.DELETE, "retain": True},
        {"action": Action.DELETE_SET},
        {"action": Action.DETECT_DRIFT},
        {"action": Action.UPDATE, "overrides": {"DelaySeconds": "900"}},
        {"action": Action.CREATE, "accounts": ("999999999999",)},
        {"action": Action.UPDATE_SET, "set_name": "stackferry-network-prod"},
        {"action": Action.CREATE_SET, "layer": "rotation", "set_name": "stackferry-rotation-dev"},
    ],
    ids=lambda forged: f"{forged['action'].value} {', '.join(forged)}",
)
def test_a_call_that_somebody_adds_to_a_journal_is_not_made(
    check: Callable[..., None], run: Run, small: SmallPhase, forged: dict[str, Any]
) -> None:
    call = {"layer": "network", "set_name": NETWORK, "accounts": tuple(small.accounts), "regions": ("us-east-1",)}
    entry = Entry(f"{run.id_prefix}-network-0123456789abcdef", Call(**call | forged), EntryState.SUBMITTING)
    with pytest.raises(RolloutError, match="has a call that does not lead to its release"):
        check(dataclasses.replace(run, entries=(*run.entries, entry)))


def test_a_detachment_that_never_arrived_is_refused_and_one_that_did_deletes_no_stack(
    check: Callable[..., None], run: Run, small: SmallPhase
) -> None:
    begun = dataclasses.replace(run, command=Command.DETACH, release="", entries=())
    with pytest.raises(RolloutError, match=r"nothing but the bucket says that remove --account was agreed to"):
        check(begun)
    call = Call(Action.DELETE, "network", NETWORK, tuple(small.accounts), ("us-east-1",))
    found = [is_call_of(begun, desired_of(small), dataclasses.replace(call, retain=retain)) for retain in (True, False)]
    assert found == [True, False]


OURS, ELSEWHERE = Target("7" * 11 + "2", "us-east-1"), Target("7" * 11 + "3", "us-east-1")


def release_of(small: SmallPhase, set_name: str = NETWORK, account: str = "9" * 12, **parts: Any) -> DesiredState:
    """A release of the phase with routes in the network account."""
    routes = PlainStackSpec("phase_routes", account, "{}", {OURS: {}})
    spec = dataclasses.replace(layer_set("network", [OURS]), name=set_name)
    return dataclasses.replace(small.desired(spec), plain={"phase_routes": routes}, **parts)


@pytest.mark.parametrize(
    ("forged", "named"),
    [
        ({"suffix": "prod"}, "phase dev with the suffix prod"),
        ({"phase": "prod"}, "phase prod with the suffix dev"),
        ({"set_name": "stackferry-network-prod"}, "the stack set stackferry-network-prod"),
        ({"account": "7" * 11 + "1"}, "stacks of phase_routes in account 777777777771"),
        ({"account": ""}, "stacks of phase_routes in account none"),
        ({"sets": {"network": layer_set("network", [OURS, ELSEWHERE])}}, "account 777777777773"),
    ],
)
def test_a_release_that_reaches_beyond_its_phase_is_refused(
    small: SmallPhase, forged: dict[str, Any], named: str
) -> None:
    """Whatever its digest and its operations say: who is confined to the phase can make both."""
    genuine = release_of(small)
    require_own("f" * 32, genuine, genuine, "9" * 12, [OURS.account], "fix")
    with pytest.raises(RolloutError, match=f"reaches beyond phase dev: it has {named}, which the files here do not"):
        require_own("f" * 32, release_of(small, **forged), genuine, "9" * 12, [OURS.account], "fix")


@pytest.mark.parametrize("action", [Action.UPDATE_SET, Action.UPDATE, Action.CREATE])
def test_a_call_that_leads_to_the_release_is_made(
    check: Callable[..., None], run: Run, small: SmallPhase, action: Action
) -> None:
    call = Call(action, "network", NETWORK, tuple(small.accounts), ("us-east-1",))
    entry = Entry(f"{run.id_prefix}-network-0123456789abcdef", call, EntryState.SUBMITTING)
    check(dataclasses.replace(run, entries=(*run.entries, entry)))


def test_a_release_counts_as_deployed_by_the_operations_that_brought_it(small: SmallPhase) -> None:
    forged = small.store.releases.save(desired_of(small, "forged"))
    time.sleep(small.administrator.fleet.lag)  # until the list of operations has the last one
    found = [is_deployed(small.client.sets, "dev", LAYERS, each) for each in (release_id(desired_of(small)), forged)]
    assert found == [True, False]


def test_ids_have_at_least_64_random_bits(run: Run) -> None:
    parts = [run.id.rpartition("-")[2], *(entry.operation_id.rpartition("-")[2] for entry in run.entries), run.release]
    assert all(len(part) >= 16 and int(part, 16) for part in parts)


def test_the_longest_id_of_an_operation_is_one_that_stacksets_take(run: Run) -> None:
    longest = f"{run.id_prefix}-{'x' * max(map(len, ('shared-network', 'database-users')))}-{'0' * 16}"
    assert len(longest) <= 128


def test_old_pages_of_a_journal_are_read_only_as_they_were_written(administrator: Administrator) -> None:
    from builders.rollout.state.journal import MOST_ENTRIES
    from builders.rollout.state.store import Store

    bucket = administrator.bucket()
    store = Store(administrator.client().objects("us-east-1"), bucket, "dev")
    call = Call(Action.UPDATE_SET, "network", NETWORK)
    store.journal.begin(Run("run", Command.APPLY, "f" * 32, "owner", "2026-11-30T00:00:00+00:00"))
    store.journal.record(*(Entry(f"id-{number}", call, EntryState.OVER) for number in range(MOST_ENTRIES + 1)))
    api = administrator.api("s3")
    (page,) = api.list_objects_v2(Bucket=bucket, Prefix="rollout/dev/runs/")["Contents"]
    text = api.get_object(Bucket=bucket, Key=page["Key"])["Body"].read()
    api.put_object(Bucket=bucket, Key=page["Key"], Body=text.replace(b"id-7", b"id-8"))
    with pytest.raises(RolloutError, match="was changed since it was written; put its first version back"):
        store.journal.run()
