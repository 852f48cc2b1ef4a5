"""How many stack sets and instances AWS allows, beside how many there will be."""

from __future__ import annotations

from collections.abc import Iterator

from builders.errors import RolloutError
from builders.rollout import names
from builders.rollout.client.quotas import DEFAULTS, INSTANCES, STACK_SETS, quotas as asked
from builders.rollout.client.sessions import Where
from builders.rollout.reading.doctor.findings import Finding, Severity
from builders.rollout.reading.doctor.patient import Patient


def quotas(patient: Patient) -> Iterator[Finding]:
    """The phase's sets and their instances fit; where the quotas cannot be read, into the defaults."""
    try:
        allowed = asked(patient.client.calls, Where(patient.rollout.home))
    except RolloutError as error:
        allowed = DEFAULTS
        what = f"the quotas of CloudFormation; the defaults are taken: {error}"
        yield Finding(Severity.UNASKED, what, "allow servicequotas:ListServiceQuotas to whoever runs doctor")
    present = set(patient.client.sets.names())
    sets = len(present | {names.stack_set(layer, patient.suffix) for layer in patient.carried})
    yield from _compared(STACK_SETS, sets, allowed[STACK_SETS])
    yield from _compared(INSTANCES, len(patient.accounts) * len(patient.regions), allowed[INSTANCES])


def _compared(name: str, needed: int, allowed: int) -> Iterator[Finding]:
    if needed > allowed:
        what = f"{name}: {needed:,} are needed, and {allowed:,} allowed"
        yield Finding(Severity.ERROR, what, "ask for more in the Service Quotas console of the tooling account")
