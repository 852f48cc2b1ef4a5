"""To whom a phase goes: its accounts, their waves, and the preferences and permissions of StackSets' operations."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from builders.errors import RolloutFileError
from builders.rollout.desired.shared import Shared
from builders.rollout.file import Operations, PhasePlan, RolloutFile, check_accounts, waves as wave_plans
from builders.rollout.model import FailureMode, Permissions, Preferences, Wave

EXECUTION_ROLE = "stackferry-execution"
"""What the layer `account` calls the role, before the phase's suffix."""


def accounts(rollout: RolloutFile, phase: str, members: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The accounts of a phase in the order of rollout.yaml; those of an organizational unit in theirs.

    Raises `RolloutFileError` for a unit without accounts, and where the phase names accounts that are in none.
    """
    units = rollout.phases[phase].targets.organizational_units
    if not units:
        return rollout.accounts(phase)
    found = tuple(dict.fromkeys(account for unit in units for account in sorted(members.get(unit, ()))))
    if not found:
        message = f"no active account in {', '.join(units)}; move accounts there, or name other units"
        raise RolloutFileError(f"{rollout.path}, phases.{phase}.targets.organizational_units: {message}")
    check_accounts(rollout, phase, found)
    return found


def waves(plan: PhasePlan, found: Sequence[str]) -> tuple[Wave, ...]:
    """The waves of a phase with their accounts."""
    return wave_plans.resolved(plan.waves, found)


def preferences(operations: Operations) -> Preferences:
    """How operations go through accounts and regions."""
    return Preferences(
        max_concurrent=operations.max_concurrent,
        failure_tolerance=operations.failure_tolerance,
        mode=FailureMode[operations.mode],
        parallel_regions=operations.regions == "PARALLEL",
    )


def permissions(rollout: RolloutFile, phase: str, suffix: str, shared: Shared) -> Permissions:
    """Who acts in the target accounts: roles that bootstrap makes, or those of AWS Organizations.

    Without an administration role of ours StackSets takes the roles that it knows by name.
    """
    model = rollout.stacksets
    if model.permission_model == "SERVICE_MANAGED":
        units = rollout.phases[phase].targets.organizational_units
        return Permissions(service_managed=True, call_as=model.call_as, units=units)
    arn = shared.administration.get("AdministrationRoleArn", "")
    name = f"{EXECUTION_ROLE}-{suffix}" if arn else ""
    return Permissions(call_as=model.call_as, administration_role_arn=arn, execution_role_name=name)
