"""What earlier operations left: INOPERABLE instances, a run that did not end."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rollout import names
from builders.rollout.client.refusals import SetNotFound
from builders.rollout.model import Status
from builders.rollout.reading.doctor.findings import Finding, Severity
from builders.rollout.reading.doctor.patient import Patient
from builders.rollout.store import RunStatus


def instances(patient: Patient) -> Iterator[Finding]:
    """No instance is INOPERABLE, since StackSets leave such out of every update."""
    present = set(patient.client.sets.names())
    for layer in sorted(patient.carried):
        name = names.stack_set(layer, patient.suffix)
        if name not in present:
            continue
        try:
            found = patient.client.sets.instances(name)
        except SetNotFound:  # it went while we looked
            continue
        broken = tuple(str(place) for place, each in sorted(found.items()) if each.status is Status.INOPERABLE)
        if broken:
            fix = (
                f"`rollout-stacksets remove --phase {patient.phase} --account ...` lets it go; delete the stack there "
                "by hand, then apply"
            )
            yield Finding(Severity.ERROR, f"INOPERABLE instances of {layer}", fix, broken)


def run(patient: Patient) -> Iterator[Finding]:
    """No run is under way, and the last one reached every instance."""
    last = patient.store.journal.run() if patient.store else None
    if last is None or last.status is RunStatus.DONE:
        return
    told = f"{last.command.value} of {last.release or 'nothing'}, begun {last.began}"
    if last.status is RunStatus.RUNNING:
        fix = f"`rollout-stacksets resume --phase {patient.phase}`, unless somebody carries it out right now"
        yield Finding(Severity.WARNING, f"a run is under way: {told}", fix)
    else:
        fix = f"see why by `rollout-stacksets status --phase {patient.phase}`, then apply again or roll back"
        yield Finding(Severity.WARNING, f"the last run did not reach every instance: {told}", fix)
