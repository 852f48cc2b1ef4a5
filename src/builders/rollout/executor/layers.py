"""Carries one layer of one wave out: by the operations of its stack set, or by plain stacks of the network account."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from builders import naming
from builders.aws import change_sets, stacks
from builders.aws.calls import attempted, concurrently
from builders.aws.errors import Unreachable
from builders.aws.networks import clear_function_interfaces
from builders.aws.resources import functions
from builders.errors import RolloutError
from builders.naming import ARTIFACTS_BUCKET, PACKAGE_KEY, package_version
from builders.rollout.executor.context import Context, Failure, held_back
from builders.rollout.executor.current_state import with_overrides
from builders.rollout.executor.operations import IMMEDIATE, Operations, PolledOperation
from builders.rollout.model import CurrentState, DesiredState, Instance, StackSet, StackSetSpec, Status, Target, Values
from builders.rollout.plan.calls import Action, concurrent_accounts, operation_preferences, tolerated_accounts
from builders.rollout.plan.changes import ChangeKind, change_kinds, plain_change_kind
from builders.rollout.plan.schedule import ScheduledLayer
from builders.template_bodies import PlainStack, declared_parameters, digest, parse_template, same_template
from builders.text import counted_noun

EXCLUSIVE = IMMEDIATE | {Action.UPDATE_SET}
"""Calls that nothing else of the set may run beside: the set itself changes."""

MOST_RUNNING = 50
"""Operations of a set under way at one time, each of which is polled by itself: AWS allows few calls a second."""

VPC, FUNCTION = "AWS::EC2::VPC", "AWS::Lambda::Function"
INTERFACE_SECONDS = 2700.0
"""So long Lambda may take for the network interfaces of functions that are gone; it says up to 20 minutes."""

SETTLING_SECONDS = 60.0
"""So long an instance is read again that StackSets lists as PENDING although the operation at it has succeeded: nothing
is said of whether ListStackInstances is consistent."""

INSTANCES_A_LOOK = 1000
"""So many more instances make looks at all of them, of a call for each hundred, rarer by as much as the first."""


class LayerRun:
    """A layer of a wave that a stack set carries. Once it is `over`, `targets` but for `failures` are as desired."""

    def __init__(
        self, context: Context, operations: Operations, scheduled: ScheduledLayer, state: StackSet | None
    ) -> None:
        self.layer = scheduled.layer
        self.targets = scheduled.changes.keys()
        self.state = state
        self.over = self.changed = False
        self.failures: dict[Target, Failure] = {}
        self._context = context
        self._operations = operations
        self._desired = context.desired
        self._set_name = naming.stack_set(scheduled.layer, context.desired.suffix)
        self._spec = context.desired.sets.get(scheduled.layer)
        self._changes = scheduled.changes
        self._accounts = len({target.account for target in scheduled.changes})
        self._calls = deque(scheduled.calls)
        self._running: list[PolledOperation] = []
        self._failed_accounts: set[str] = set()
        self._refusal = ""
        self._reached: set[Target] = set()
        """Targets where an operation succeeded."""
        self._next_look = self._next_reading = self._settled_until = 0.0
        self._next_clearing = self._clearing_until = 0.0

    def advance(self) -> None:
        """Poll the operations that run and begin what may begin; without either, look at the instances and end."""
        for running in list(self._running):
            self._poll(running)
        if self._operations.refuted:
            self._calls.clear()
        while self._may_begin() and self._interfaces_are_gone():
            call = self._calls.popleft()
            self.changed = True
            accounts, failed = len(call.accounts), len(self._failed_accounts)
            of_wave = max(self._accounts, accounts)
            preferences = operation_preferences(self._desired.preferences, accounts, failed, of_wave)
            running = self._operations.begin(call, preferences)
            self._running.append(running)
            self._poll(running)
        if not self._running and not self._calls:
            self._finish()

    def _may_begin(self) -> bool:
        """Return whether the next call may run beside the others, as one operation over all of their accounts might."""
        if not self._calls or not self._running:
            return bool(self._calls)
        call, running = self._calls[0], [each.call for each in self._running]
        if call.action in EXCLUSIVE or any(each.action in EXCLUSIVE for each in running):
            return False
        preferences = self._desired.preferences
        if not preferences.parallel_regions and any(each.regions != call.regions for each in running):
            return False
        busy = sum(len(each.accounts) for each in running if not set(each.regions).isdisjoint(call.regions))
        most = concurrent_accounts(preferences, self._accounts)
        return len(running) < MOST_RUNNING and busy + len(call.accounts) <= most

    def _interfaces_are_gone(self) -> bool:
        """Return whether the next call may begin: a deletion of VPCs waits for the network interfaces of functions.

        They outlive the functions, until Lambda detaches them; those that are detached are cleared.
        """
        call, state, now = self._calls[0], self.state, self._context.clock.now()
        if call.action is not Action.DELETE or call.retain or not state or f'"{VPC}"' not in state.template:
            return True
        if now < self._next_clearing:
            return False
        self._next_clearing = now + self._context.poll_interval.longest
        self._clearing_until = self._clearing_until or now + INTERFACE_SECONDS
        there = call.targets & state.instances.keys()
        attached = sum(number for _, number in concurrently(self._clear_interfaces, there))
        if attached and now < self._clearing_until:
            self._context.observer.say(
                f"{self.layer}: {counted_noun(attached, 'network interface')} of functions still there; Lambda deletes "
                "them within 20 minutes, and the VPC is deleted then"
            )
        return not attached or now >= self._clearing_until

    def _clear_interfaces(self, target: Target) -> int:
        client, stack_id = self._context.client, self.state.instances[target].stack_id if self.state else ""
        try:
            found = stacks.resources(client.reading(target), stack_id) if stack_id else ()
            vpcs = [each.physical_id for each in found if each.type == VPC]
            return clear_function_interfaces(client.deploying(target), vpcs)
        except RolloutError as error:
            self._context.observer.say(f"{target}: network interfaces of functions cannot be looked for: {error}")
            return 0

    def _poll(self, running: PolledOperation) -> None:
        operation = self._operations.poll(running)
        if operation is None:
            return
        if operation.active:
            self._show_meanwhile()
            return
        self._running.remove(running)
        self._refusal = running.refusal or self._refusal
        failed = self._operations.end(running, operation)
        self._failed_accounts |= {target.account for target in failed}
        if running.call.action is Action.UPDATE:
            self._prove_carried(running.call.targets.difference(failed))
        tolerated = tolerated_accounts(self._desired.preferences, self._accounts)
        if operation.status == "SUCCEEDED" and not operation.failed:
            self._reached |= running.call.targets
        self._settled_until = self._context.clock.now() + SETTLING_SECONDS
        if operation.status != "SUCCEEDED" or len(self._failed_accounts) > tolerated:
            self._calls.clear()

    def _prove_carried(self, reached: Collection[Target]) -> None:
        """Read one stack after the first UpdateStackInstances of a set's update, which promises parameters alone.

        The other instances depend on it for the set's template and tags (CloudFormation API reference,
        UpdateStackInstances: "Updates the parameter values for stack instances").
        """
        updated = sorted(each for each in reached if self._changes.get(each) is ChangeKind.UPDATE)
        if not updated or self._spec is None or self.state is None or self.layer in self._operations.proven:
            return
        target, tags = updated[0], self._desired.tags.items()
        try:
            stack = stacks.deployed(self._context.client.reading(target), self.state.instances[target].stack_id)
        except RolloutError as error:
            self._context.observer.say(f"{self.layer} at {target} cannot be read, to see what it was given: {error}")
            return
        self._operations.proven.add(self.layer)
        if stack and not (same_template(stack.template, self._spec.template) and tags <= stack.tags.items()):
            refuted = (
                f"{self.layer} at {target}: UpdateStackInstances succeeded, and the stack does not have its stack "
                "set's template and tags; nothing more is sent; `rollout-stacksets drift --deep` names every such stack"
            )
            self._operations.refuted = self._refusal = refuted
            self.failures |= {each: Failure(self.layer, each, refuted) for each in updated}
            self._calls.clear()

    def _finish(self) -> None:
        """Compare every instance with the desired state: what operations say of themselves is not enough."""
        now, spec = self._context.clock.now(), self._spec
        if self.changed:
            if now < self._next_reading:
                return
            self._next_reading = now + self._context.poll_interval.longest
            read = self._context.client.sets.read(self.layer, self._set_name)
            if read and now < self._settled_until and any(map(self._is_late, read.instances.values())):
                return
            self.state = read and with_overrides(self._context.client.sets, self._context.override_cache, read)
        self.over = True
        asked = sorted(self.targets - self.failures.keys())
        for target, left in change_kinds(self._desired, self.layer, self.state, asked).items():
            if left is not ChangeKind.NOTHING:
                self.failures[target] = self._failure(target, left)
        if self.changed and self.state and spec:
            reached = sorted(self.targets - self.failures.keys())
            updated = [each for each in reached if self._changes[each] not in (ChangeKind.NOTHING, ChangeKind.DELETE)]
            for target, reason in other_code(self._context, spec, self.state, updated):
                self.failures.setdefault(target, Failure(self.layer, target, reason))
        if self._refusal and not self.failures:
            self.failures = {target: Failure(self.layer, target, self._refusal) for target in self._changes}
        if self._context.observer.detailed:
            self._show(self.state.instances if self.state else {})

    def _is_late(self, instance: Instance) -> bool:
        """Return whether an instance is listed as if the operation that succeeded there had not begun."""
        waiting = instance.status is not Status.CURRENT and instance.detailed in ("PENDING", "RUNNING")
        return waiting and instance.target in self._reached

    def _failure(self, target: Target, left: ChangeKind) -> Failure:
        found = (self.state.instances if self.state else {}).get(target, Instance(target, Status.OUTDATED, "PENDING"))
        another = "deployed, and not as desired any more: somebody else has changed it or its stack set; plan again"
        why = another if target in self._reached else "not begun: an operation before it failed"
        reason = found.reason or self._refusal or self._operations.refuted or why
        if left is ChangeKind.INOPERABLE and found.detailed == "FAILED_IMPORT":
            reason = f"FAILED_IMPORT: {found.reason}; fix that, then `rollout-stacksets adopt` again"
        elif left is ChangeKind.INOPERABLE:
            reason = (
                f"INOPERABLE: {found.reason}; detach it with `rollout-stacksets remove --account {target.account}`, "
                "delete its stack by hand, then apply again"
            )
        return Failure(self.layer, target, reason, found.detailed in ("PENDING", "CANCELLED"), found.stack_id)

    def _show_meanwhile(self) -> None:
        """Show where the instances are, but not at every poll of one of many operations."""
        now = self._context.clock.now()
        if self._context.observer.detailed and now >= self._next_look:
            looks = 1 + len(self._changes) // INSTANCES_A_LOOK
            self._next_look = now + self._context.poll_interval.longest * looks
            self._show(self._context.client.sets.instances_left(self._set_name))

    def _show(self, instances: Mapping[Target, Instance]) -> None:
        """Give a word for each target that has an instance or waits for one; of one that is gone there is no more."""
        words = dict.fromkeys(self._spec.overrides if self._spec else (), "absent")
        for target, each in instances.items():
            words[target] = each.detailed if each.detailed and each.status is not Status.CURRENT else each.status.value
        states = {target: words[target] for target in self._changes if target in words}
        self._context.observer.targets(self.layer, states)


SIGNERS = "CodeSigningConfigArn"
"""The parameter of a layer with functions that names who signs packages: Lambda itself refuses other code then."""


def other_code(
    context: Context, spec: StackSetSpec, state: StackSet, targets: Iterable[Target]
) -> Iterator[tuple[Target, str]]:
    """The targets where a function of a layer has other code than its package, and the way to put that back.

    Lambda tells the SHA-256 of the package that a function was given (Lambda API reference, FunctionConfiguration). A
    target that cannot be asked is said, and left out.
    """
    parameters, digests, session = _package_parameters(spec), context.desired.digests, context.client.reading

    def comparable(target: Target) -> list[tuple[str, str]]:
        """The functions whose packages' digests are known, by logical id, each with the parameter of its key."""
        values = spec.values(target)
        return [] if values.get(SIGNERS) else [each for each in parameters if digests.get(values[each[1]])]

    compared = {target: pairs for target in targets if (pairs := comparable(target))}
    for target, answer in attempted(lambda each: functions(session(each), state.instances[each].stack_id), compared):
        if isinstance(answer, RolloutError):
            context.observer.say(f"{spec.layer} at {target}: its functions' code is not compared: {answer}")
            continue
        values = spec.values(target)
        for name, key in compared[target]:
            found, expected = answer.get(name), digests[values[key]]
            if found and found.sha256 != expected:
                version = values.get(package_version(key), "")
                put_back = (
                    f"aws lambda update-function-code --function-name {found.name} --s3-bucket "
                    f"{values[ARTIFACTS_BUCKET]} --s3-key {values[key]}"
                    f"{f' --s3-object-version {version}' if version else ''}"
                )
                yield (
                    target,
                    f"{name} runs code whose SHA-256 is {found.sha256}, and that of its package is {expected}; "
                    f"find out in CloudTrail who called UpdateFunctionCode, then `{put_back}`",
                )


def _package_parameters(spec: StackSetSpec) -> list[tuple[str, str]]:
    """The functions of a layer whose packages parameters name: logical ids and the parameters of the keys, sorted."""
    if ARTIFACTS_BUCKET not in spec.parameters:
        return []
    resources = parse_template(spec.template)["Resources"].items()
    codes = {name: each["Properties"].get("Code", {}) for name, each in resources if each["Type"] == FUNCTION}
    keys = {name: code["S3Key"].get("Ref", "") for name, code in codes.items() if isinstance(code.get("S3Key"), dict)}
    return sorted(each for each in keys.items() if each[1].endswith(PACKAGE_KEY) and each[1] in spec.parameters)


def network_stack(desired: DesiredState, layer: str, target: Target, outputs: Iterable[Values]) -> PlainStack:
    """The stack in the network account for one target; `outputs` of the layers before fill what the phase leaves open.

    It may still be missing values, where those layers have not been deployed.
    """
    spec = desired.plain[layer]
    declared = declared_parameters(spec.template)
    values = dict(spec.parameters[target])
    for each in outputs:
        values |= {name: value for name, value in each.items() if name in declared and name not in values}
    name = naming.network_stack(layer, desired.suffix, target.account)
    tags = {**desired.tags, stacks.TEMPLATE_TAG: digest(spec.template)}
    return PlainStack(layer, Target(spec.account, target.region), name, spec.template, values, tags)


MOST_STACKS = 16
"""Stacks under way at one time: they mostly wait for CloudFormation, and the client bounds the calls."""


class PlainLayerRun:
    """A layer of a wave that plain stacks carry. It needs no journal: deploying a stack again changes nothing.

    `current` is what the plan was made from, `needed` are the sets whose outputs fill parameters. Each stack that those
    outputs reach is deployed `again` where layers before it have changed.
    """

    def __init__(
        self, context: Context, scheduled: ScheduledLayer, current: CurrentState, needed: list[StackSet], again: bool
    ) -> None:
        self.layer = scheduled.layer
        self.targets = scheduled.changes.keys()
        self.failures: dict[Target, Failure] = {}
        self._context = context
        self._spec = context.desired.plain[scheduled.layer]
        self._changes = scheduled.changes
        self._current = current
        self._needed = needed
        pool = ThreadPoolExecutor(MOST_STACKS)
        self._running = {
            pool.submit(self._carry_out, target): target
            for target, kind in scheduled.changes.items()
            if kind is not ChangeKind.NOTHING or (again and target in self._spec.parameters)
        }
        pool.shutdown(wait=False)
        self.over = False
        self.changed = bool(self._running)
        context.observer.targets(self.layer, dict.fromkeys(self._running.values(), "RUNNING"))

    def advance(self) -> None:
        """Collect what has ended. Raises `Unreachable`, and whatever is no error of one target."""
        for future in [each for each in self._running if each.done()]:
            target, error = self._running.pop(future), future.exception()
            if error and (isinstance(error, Unreachable) or not isinstance(error, RolloutError)):
                raise error
            if error:
                self.failures[target] = Failure(self.layer, target, str(error))
            if error or target in self._spec.parameters:
                self._context.observer.targets(self.layer, {target: "FAILED" if error else "CURRENT"})
        self.over = not self._running

    def _carry_out(self, target: Target) -> None:
        """Deploy or delete a target's stack. Raises `RolloutError`, also where it is not as it was planned from."""
        client, where = self._context.client, Target(self._spec.account, target.region)
        name = naming.network_stack(self.layer, self._context.desired.suffix, target.account)
        before = self._current.plain.get((self.layer, target))
        now = stacks.standing(client.reading_shared(where), name, self._spec.template)
        if before is None or now is None:
            same = before is now
        else:
            same = before.parameters == now.parameters and same_template(before.template, now.template)
        if not same:
            raise RolloutError(held_back("its stack was changed since the plan"))
        if self._changes[target] is ChangeKind.DELETE:
            change_sets.delete(client.deploying(where), name)
            return
        instances = [state.instances[target] for state in self._needed if target in state.instances]
        outputs = [stacks.outputs(client.reading(target), each.stack_id) for each in instances]
        stack = network_stack(self._context.desired, self.layer, target, outputs)
        if missing := stack.missing:
            raise RolloutError(
                f"{self.layer} at {target} lacks {', '.join(missing)}, an output of no stack there; "
                "`rollout-stacksets status` shows which layers are deployed"
            )
        complete = dataclasses.replace(self._spec, parameters={target: stack.values})
        # Where nothing changes, what it follows was updated, and has the same outputs as before.
        if plain_change_kind(complete, before, target) is not ChangeKind.NOTHING:
            change_sets.deploy(client.deploying(stack.target), stack)
