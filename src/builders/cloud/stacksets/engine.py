"""Runs an operation over its instances: region by region, so many accounts at a time, until failures stop it.

Source: CloudFormation API reference, StackSetOperationPreferences, StackSetOperation and
StackInstanceComprehensiveStatus; user guide, "Choosing the Concurrency Mode" and "StackSets concepts" (operation
options and status codes).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import request_scope

from builders.cloud.cloudformation.wire import invalid
from builders.cloud.organizations import membership
from builders.cloud.server import accounts, state
from builders.cloud.stacksets import members, permissions
from builders.cloud.stacksets.members import Outcome
from builders.cloud.stacksets.model import Instance, Operation, StackSet, now, settings

Preferences = Mapping[str, Any]
SETTINGS_SECONDS = 0.1
"""The time after which a change of StackSeconds reaches an instance that is RUNNING."""


@dataclass(frozen=True)
class Concurrency:
    """The effect of the preferences on the accounts of one region."""

    tolerance: int
    """Failures that the region bears; one more stops it."""
    width: int
    """Accounts at one time."""
    strict: bool

    def exceeded(self, failed: int) -> bool:
        """Return whether so many failures stop the region."""
        return failed > self.tolerance

    def room(self, failed: int, running: int) -> bool:
        """Return whether one more account may start.

        Strict: never more than tolerance + 1 can fail, even if all that run now do. Soft: always up to the width. One
        may always run, even where a percentage of the accounts is none.
        """
        width = min(self.width, self.tolerance + 1 - failed) if self.strict else self.width
        return running < max(width, 1)


def concurrency_of(preferences: Preferences, accounts: int) -> Concurrency:
    """Compute what the preferences mean for a region with so many accounts; percentages are rounded down."""
    tolerance = preferences.get("FailureToleranceCount", 0)
    if "FailureTolerancePercentage" in preferences:
        tolerance = accounts * preferences["FailureTolerancePercentage"] // 100
    width = preferences.get("MaxConcurrentCount", 1)
    if "MaxConcurrentPercentage" in preferences:
        width = accounts * preferences["MaxConcurrentPercentage"] // 100
    return Concurrency(tolerance, width, preferences.get("ConcurrencyMode") != "SOFT_FAILURE_TOLERANCE")


def region_order(preferences: Preferences, regions: Iterable[str]) -> list[str]:
    """Put regions into the order of RegionOrder; those that it does not name follow in theirs."""
    order = preferences.get("RegionOrder") or []
    present = list(dict.fromkeys(regions))
    return [each for each in order if each in present] + [each for each in present if each not in order]


def parallel(preferences: Preferences) -> bool:
    """Return whether all regions go at once."""
    return preferences.get("RegionConcurrencyType") == "PARALLEL"


def check(preferences: Preferences) -> None:
    """Refuse a count beside a percentage."""
    for name in ("FailureTolerance", "MaxConcurrent"):
        if {f"{name}Count", f"{name}Percentage"} <= set(preferences):
            raise invalid(f"You can specify either {name}Count or {name}Percentage, but not both")


logger = logging.getLogger("stacksets")

TOLERANCE_EXCEEDED = "Cancelled since failure tolerance has exceeded"
"""(seen) AWS CLI reference, list-stack-set-operation-results, and aws-control-tower-customizations #28."""
STOPPED = "Cancelled since the operation was stopped"
SUSPENDED = "ACCOUNT_SUSPENDED"


async def run(stack_set: StackSet, operation: Operation) -> None:
    """Work on all instances of an operation that is RUNNING; it is over when this returns."""
    regions = region_order(operation.preferences, [each.region for each in operation.instances])
    if parallel(operation.preferences):
        borne = all(await asyncio.gather(*(_region(stack_set, operation, region) for region in regions)))
    else:
        borne = True
        for region in regions:
            borne = await _region(stack_set, operation, region, attempt=borne) and borne
    stopped = operation.status == "STOPPING"
    operation.become("STOPPED" if stopped else "SUCCEEDED" if borne else "FAILED")
    state.touched.set()


async def _region(stack_set: StackSet, operation: Operation, region: str, attempt: bool = True) -> bool:
    """Work on one region; return whether its failures were borne. Without `attempt` all is cancelled."""
    here = [each for each in operation.instances if each.region == region]
    # Of an operation that a killed server began, some are over.
    waiting = deque(each for each in here if not operation.results[each.key].over)
    failed = sum(operation.results[each.key].status == "FAILED" for each in here)
    concurrency = concurrency_of(operation.preferences, len(here))
    running: set[asyncio.Task[bool]] = set()
    # asyncio.wait would ask each of thousands of running tasks whenever one is done.
    over: asyncio.Queue[asyncio.Task[bool]] = asyncio.Queue()
    while waiting or running:
        if not attempt or operation.status == "STOPPING" or concurrency.exceeded(failed):
            _cancel(operation, waiting)
        while waiting and concurrency.room(failed, len(running)):
            task = asyncio.create_task(_instance(stack_set, operation, waiting.popleft()))
            task.add_done_callback(over.put_nowait)
            running.add(task)
        if running:
            done = [await over.get()]
            while not over.empty():
                done.append(over.get_nowait())
            running.difference_update(done)
            failed += sum(not task.result() for task in done)
    return attempt and not concurrency.exceeded(failed)


def _cancel(operation: Operation, waiting: deque[Instance]) -> None:
    reason = STOPPED if operation.status == "STOPPING" else TOLERANCE_EXCEEDED
    while waiting:
        instance = waiting.popleft()
        operation.results[instance.key].record("CANCELLED", reason)
        if operation.action != "DETECT_DRIFT":
            instance.detailed, instance.reason = "CANCELLED", reason


async def _instance(stack_set: StackSet, operation: Operation, instance: Instance) -> bool:
    """Work on one instance in its own account and region; return whether it did not fail."""
    with request_scope(instance.account, instance.region):
        result = operation.results[instance.key]
        if membership.suspended(instance.account) and not operation.retain:
            result.record("CANCELLED", SUSPENDED)
            if operation.action != "DETECT_DRIFT":
                instance.detailed, instance.reason = "SKIPPED_SUSPENDED_ACCOUNT", SUSPENDED
            return True
        result.record("RUNNING")
        if operation.action != "DETECT_DRIFT":
            instance.detailed = "RUNNING"
        await _run_slowly(stack_set.account, instance.account)
        outcome = await _attempt(stack_set, operation, instance)
        result.record("FAILED" if outcome.failed else "SUCCEEDED", outcome.reason)
        state.touched.set()
        return not outcome.failed


async def _run_slowly(administrator: str, account: str) -> None:
    """Wait as long as the settings say, which may change while an operation runs."""
    began = time.monotonic()
    while (left := began + settings(administrator).seconds(account) - time.monotonic()) > 0:
        await asyncio.sleep(min(left, SETTINGS_SECONDS))


async def _attempt(stack_set: StackSet, operation: Operation, instance: Instance) -> Outcome:
    """Do what the operation is for, and put what became of it into the instance."""
    try:
        await members.at_rest(instance)
        outcome = await _act(stack_set, operation, instance)
    except Exception as error:
        logger.exception("operation %s failed in %s", operation.id, instance.key)
        outcome = Outcome(f"the embedded cloud failed: {error!r}", failed=True)
    if operation.action == "DETECT_DRIFT":
        return outcome
    instance.reason = outcome.reason
    if not outcome.failed:
        instance.status, instance.detailed = "CURRENT", "SUCCEEDED"
    elif outcome.broken:
        instance.status, instance.detailed = "INOPERABLE", "FAILED_IMPORT" if operation.stack_ids else "INOPERABLE"
    else:
        instance.detailed = "FAILED"
    return outcome


async def _act(stack_set: StackSet, operation: Operation, instance: Instance) -> Outcome:
    if operation.retain:
        del stack_set.instances[instance.key]  # the stack is left alone: no role is asked for
        return Outcome()
    refused = settings(stack_set.account).failure(instance.account) or _not_enabled(stack_set, instance)
    if not refused and not stack_set.service_managed:
        refused = permissions.refusal(stack_set, instance.account)
    if refused:
        return Outcome(refused, failed=True, broken=operation.action == "DELETE" or bool(operation.stack_ids))
    if operation.stack_ids:
        return members.adopt(stack_set, instance, operation.stack_ids[instance.key])
    if operation.action == "DETECT_DRIFT":
        return _detect_drift(operation, instance)
    if operation.action == "DELETE":
        outcome = await members.delete(stack_set, instance)
        if not outcome.failed:
            del stack_set.instances[instance.key]
        return outcome
    carries = operation.begin != "_begin_update" or settings(stack_set.account).update_instances_carry
    return await members.deploy(stack_set, instance, carries)


def _not_enabled(stack_set: StackSet, instance: Instance) -> str:
    """Return why there can be no stack in the region; empty when both accounts have it enabled. The sentence is ours.

    Source: user guide, "Prepare to perform StackSet operations in AWS Regions that are disabled by default".
    """
    for account in (instance.account, stack_set.account):
        if not accounts.enabled(account, instance.region):
            return f"Region {instance.region} is not enabled for account {account}"
    return ""


def _detect_drift(operation: Operation, instance: Instance) -> Outcome:
    try:
        instance.drift = members.detect_drift(instance)
    except ValueError as error:
        return Outcome(str(error), failed=True)
    instance.drift_checked = now()
    operation.drift[instance.key] = instance.drift
    return Outcome()
