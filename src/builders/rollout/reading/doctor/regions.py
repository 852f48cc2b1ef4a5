"""Regions that an account must switch on before anything can be deployed there."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rollout.client.account import enabled_regions
from builders.rollout.model import Place
from builders.rollout.reading.doctor.findings import Finding, Severity
from builders.rollout.reading.doctor.patient import Patient


def regions(patient: Patient) -> Iterator[Finding]:
    """Every account has switched on every region of the phase."""

    def look(place: Place) -> Finding | None:
        enabled = enabled_regions(patient.client.calls, patient.reach.deploying(place))
        off = [region for region in patient.regions if region not in enabled]
        if not off:
            return None
        fix = f"`aws account enable-region --region-name {off[0]}` in the account, and wait until it is ENABLED"
        return Finding(Severity.ERROR, f"{', '.join(off)} is not switched on", fix)

    yield from patient.in_each_account(look)
