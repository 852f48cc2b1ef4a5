"""bootstrap, as it is called."""

from __future__ import annotations

import json

import click

from builders import progress
from builders.rollout import bootstrap as bootstrapping, opening
from builders.rollout.bootstrap import Outcome
from builders.rollout.commands import calling
from builders.rollout.commands.calling import Called

DONE, FAILED = 0, 1


def bootstrap(called: Called, *, phase: str, as_json: bool) -> int:
    """Deploy the plain stacks that a phase stands on, and tell what came of each as it comes."""
    door = opening.door(calling.options(called), phase)
    tell = (lambda _outcome: None) if as_json else _tell
    outcomes = bootstrapping.run(door.client, door.rollout, phase, door.templates, door.members, tell)
    if as_json:
        click.echo(json.dumps([_data(each) for each in outcomes], indent=1, sort_keys=True))
    failed = [each for each in outcomes if not each.stands]
    if failed:
        progress.say(f"{len(failed)} of {len(outcomes)} stacks do not stand; mend what is said above and run it again")
    return FAILED if failed else DONE


def _tell(outcome: Outcome) -> None:
    click.echo(str(outcome))


def _data(outcome: Outcome) -> dict[str, object]:
    step = outcome.step
    return {
        "account": step.account,
        "region": step.region,
        "layer": step.layer,
        "stack": step.name,
        "state": outcome.state.value,
        "reason": outcome.reason,
        "outputs": dict(outcome.outputs),
    }
