"""Proof, from AWS, that what the bucket says of runs and releases is what was done: who writes there may forge it.

StackSets keeps the ids of operations, and nobody who writes the bucket alone writes them. Each begins with the release
that its run brought, a digest of all that the release is, and with a digest of what the run was agreed to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection

from builders import naming
from builders.aws.errors import StackSetNotFound
from builders.errors import RolloutError
from builders.rollout.executor.operations import IMMEDIATE
from builders.rollout.model import DesiredState
from builders.rollout.plan.calls import Action, Call, leads_to
from builders.rollout.stack_sets import StackSets
from builders.rollout.state.journal import Command, EntryState, Run
from builders.text import name_list


def require_proven(sets: StackSets, run: Run, desired: DesiredState, release_here: Callable[[], str]) -> None:
    """Refuse to go on with a run that AWS knows nothing of, or with a call that does not lead to its release.

    A run whose first operation never arrived goes on where it is the apply of `release_here`, which the files here
    make, and nothing was acknowledged. Raises `RolloutError`.
    """
    what = f"{run.command.value} of release {run.release}" if run.release else run.command.value
    fix = f"end it by `rollout-stacksets resume --end`, then {run.command.value} again"
    of_files = run.command is Command.APPLY and not run.acknowledged
    if not _is_known(sets, run, desired.suffix) and not (of_files and run.release == release_here()):
        raise RolloutError(
            f"AWS has no operation of the run {run.id}: nothing but the bucket says that {what} was agreed to; {fix}"
        )
    for entry in run.entries:
        if entry.state is EntryState.SUBMITTING and not is_call_of(run, desired, entry.call):
            raise RolloutError(
                f"the journal of the run {run.id} has a call that does not lead to its release: "
                f"{entry.call.action.value} of {entry.call.set_name}; somebody has changed it: {fix}"
            )


def require_own(
    release: str, desired: DesiredState, now: DesiredState, network: str, accounts: Collection[str], fix: str
) -> None:
    """Refuse a release that reaches beyond its phase, which nobody but a forger stores.

    Whoever may write a phase's part of the bucket and begin its operations can make a release that counts as deployed.
    Put back by an administrator of all phases it is carried out with more permissions than the forger has, so it may
    name nothing but the phase's own stack sets in its `accounts`, and plain stacks in the `network` account.
    """
    odd: list[str] = []
    if (desired.phase, desired.suffix) != (now.phase, now.suffix):
        odd.append(f"phase {desired.phase} with the suffix {desired.suffix}")
    odd += [
        f"the stack set {each.name}"
        for layer, each in desired.sets.items()
        if each.name != naming.stack_set(layer, now.suffix)
    ]
    odd += [
        f"stacks of {layer} in account {each.account or 'none'}"
        for layer, each in desired.plain.items()
        if each.account != network and (each.account or each.parameters)
    ]
    odd += [f"account {each}" for each in sorted({target.account for target in desired.targets} - set(accounts))]
    if odd:
        raise RolloutError(
            f"release {release} reaches beyond phase {now.phase}: it has {name_list(odd, 3)}, which the files here do "
            f"not name, so somebody who can write the bucket may have forged it; {fix}"
        )


def is_deployed(sets: StackSets, suffix: str, layers: Collection[str], release: str) -> bool:
    """Return whether an operation of the phase has ever brought a release.

    StackSets does not tell how long it keeps operations, and a set that is deleted takes its own along.
    """
    names = sets.existing(layers, suffix).values()
    return any(each.startswith(f"{release}-") for name in names for each in sets.operation_ids(name))


def is_call_of(run: Run, desired: DesiredState, call: Call) -> bool:
    """Return whether a run may have made a call: a detachment deletes no stack, any other leads to its release."""
    if run.command is not Command.DETACH:
        return leads_to(desired, call)
    ours = call.set_name == naming.stack_set(call.layer, desired.suffix)
    return ours and call.action is Action.DELETE and call.retain


def _is_known(sets: StackSets, run: Run, suffix: str) -> bool:
    """Return whether AWS has an operation of the run, in a stack set of the phase: those of others prove nothing."""
    for entry in reversed(run.entries):
        ours = entry.call.set_name == naming.stack_set(entry.call.layer, suffix)
        if ours and entry.call.action not in IMMEDIATE and entry.operation_id.startswith(f"{run.id_prefix}-"):
            with contextlib.suppress(StackSetNotFound):
                if sets.operation(entry.call.set_name, entry.operation_id) is not None:
                    return True
    return False
