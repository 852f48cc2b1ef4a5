"""The list of checks, and how they are run: each for itself, so that one that cannot be asked hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from builders.errors import RolloutError
from builders.rollout.reading.doctor import (
    buckets,
    identity,
    limits,
    organization,
    quotas,
    regions,
    roles,
    standing,
)
from builders.rollout.reading.doctor.findings import Checked, Diagnosis, Finding
from builders.rollout.reading.doctor.patient import Patient, unasked

Check = Callable[[Patient], Iterator[Finding]]

CHECKS: Mapping[str, Check] = {
    "credentials": identity.credentials,
    "administration role": roles.administration,
    "execution roles": roles.execution,
    "plan roles": roles.plan_role,
    "deploy roles": roles.deploy_role,
    "DMS roles": roles.dms_roles,
    "trusted access": organization.trusted_access,
    "delegated administrator": organization.delegated_administrator,
    "accounts": organization.accounts,
    "regions": regions.regions,
    "quotas": quotas.quotas,
    "templates": limits.templates,
    "buckets": buckets.buckets,
    "readers of packages": buckets.readers,
    "instances": standing.instances,
    "run": standing.run,
}
"""In the order in which they are told."""


def run_doctor(patient: Patient, say: Callable[[str], None] = lambda _line: None) -> tuple[Diagnosis, int]:
    """Run all checks of a phase; `say` is told the name of each that begins. The exit code is 1 for any error."""
    checked = []
    for name, check in CHECKS.items():
        say(name)
        checked.append(Checked(name, tuple(_findings(check, patient))))
    diagnosis = Diagnosis(patient.phase, tuple(checked))
    return diagnosis, 0 if diagnosis.good else 1


def _findings(check: Check, patient: Patient) -> Iterator[Finding]:
    try:
        yield from check(patient)
    except RolloutError as error:
        yield unasked(error)
