"""Stacks of ours as CloudFormation has them in one account and region: layer, phase and suffix by name and parameters.

By hand a stack is called `<layer>-<suffix>`; StackSets calls it `StackSet-stackferry-<layer>-<suffix>-<id>`. Both have
the parameters EnvironmentSuffix and MigrationPhase, which every template of ours takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import naming, outputs, progress
from builders.aws.calls import Access, ApiCalls, Session, own_region
from builders.aws.errors import Advice
from builders.aws.stacks import all_stacks, read_parameters
from builders.errors import RolloutError, UsageError
from builders.scopes import Target
from builders.text import counted_noun, name_list, suggestion

_STANDING = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
"""Statuses of stacks whose outputs are those of what stands, with or without a cleanup that is under way."""

ADVICE = Advice(retry="run this again", permissions="docs/by-hand.md")


@dataclass(frozen=True)
class Deployed:
    """A stack of one of our templates."""

    layer: str
    phase: str
    suffix: str
    name: str
    status: str
    outputs: Mapping[str, str]

    @property
    def is_standing(self) -> bool:
        """Return whether its outputs are those of what stands."""
        return self.status.removesuffix("_CLEANUP_IN_PROGRESS") in _STANDING


def stacks(session: Session) -> Iterator[Deployed]:
    """Every stack of ours in the session's account and region. Raises `RolloutError` where they cannot be listed."""
    for found in all_stacks(session):
        parameters = read_parameters(found.get("Parameters", []))
        suffix, phase = parameters.get(naming.SUFFIX), parameters.get(naming.MIGRATION_PHASE)
        if suffix and phase and (layer := _layer(found["StackName"], suffix)):
            yield Deployed(layer, phase, suffix, found["StackName"], found["StackStatus"], outputs.of_stack(found))


def _layer(name: str, suffix: str) -> str:
    """The layer of a stack by its name; empty for a name of another form."""
    end = re.escape(f"-{suffix}")
    # StackSets ends a stack's name in an id of its own, and `phase_routes` in the account that it is for.
    forms = (rf"StackSet-{naming.PREFIX}(.+?){end}-[\w-]+", rf"(.+?){end}(?:-[0-9]{{12}})?")
    for form in forms:
        if match := re.fullmatch(form, name):
            return match[1].replace("-", "_")
    return ""


def of_phase(found: Iterable[Deployed], phase: str, where: str) -> dict[str, dict[str, str]]:
    """The outputs of a phase's stacks by layer. `where` is for messages.

    Raises `UsageError` where there is none, and where two environments call themselves by this phase.
    """
    every = list(found)
    own = [each for each in every if each.phase == phase and each.is_standing]
    if not own:
        others = sorted({each.phase for each in every})
        close = suggestion(phase, others)
        there = f"there are stacks of {name_list(others)}" if others else "there is no stack of ours"
        raise UsageError(
            f"no stack of phase {phase!r} stands in {where}; {f'did you mean {close!r}? ' if close else ''}{there}; "
            "are these the credentials and the region of the phase"
        )
    suffixes = sorted({each.suffix for each in own})
    if len(suffixes) > 1:
        raise UsageError(
            f"{where} has stacks of phase {phase} with several values of {naming.SUFFIX}: {name_list(suffixes)}; give "
            "each environment a MigrationPhase of its own"
        )
    for each in every:
        if each.phase == phase and not each.is_standing:
            progress.say(f"{each.name} is {each.status} and is left out")
    return {each.layer: dict(each.outputs) for each in sorted(own, key=lambda each: each.layer)}


@dataclass(frozen=True)
class Facts:
    """Outputs of a phase's stacks in one target, under their flat names, and where they were found."""

    target: Target
    outputs: Mapping[str, str]
    source: str


def facts(
    phase: str,
    outputs_dir: Path,
    account: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    advice: Advice = ADVICE,
) -> Facts:
    """The outputs of a phase: by the files that were written, else by the stacks of the caller's own account.

    Raises `UsageError` where neither has them, or several targets fit.
    """
    written = outputs.find(phase, outputs_dir, account, region)
    if written is not None:
        path, flat = written
        return Facts(outputs.target_of(flat), flat, str(path))
    unknown = outputs.unknown_phase(phase, outputs_dir)
    if suggestion(phase, outputs.phases(outputs_dir)):
        raise UsageError(f"{unknown}; write-outputs or rollout-stacksets outputs writes those of another")
    try:
        target, session = caller(region, profile, advice)
        if account and account != target.account:
            raise UsageError(f"these are credentials of account {target.account}, not of {account}")
        found = of_phase(stacks(session), phase, f"account {target.account} in {target.region}")
    except (RolloutError, UsageError) as error:
        raise UsageError(
            f"{unknown}, and its stacks were not found: {error}; run write-outputs --phase {phase} with credentials of "
            "the account that it stands in, or rollout-stacksets outputs"
        ) from error
    where = f"{counted_noun(len(found), 'stack')} of account {target.account} in {target.region}"
    progress.say(f"{outputs_dir / phase} is not there; {phase} is found by the {where}")
    return Facts(target, outputs.flatten(found), where)


def caller(region: str | None, profile: str | None, advice: Advice = ADVICE, **more: Any) -> tuple[Target, Session]:
    """The caller's own account and region, and a session there. Raises `UsageError` where no region is known."""
    region = region or own_region(profile)
    if not region:
        raise UsageError("no region is known; give --region, or set AWS_DEFAULT_REGION")
    calls = ApiCalls(Access(region, profile, advice=advice, **more))
    return Target(calls.account(), region), calls.session()
