"""Whose credentials these are."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rollout.reading.doctor.findings import Finding, Severity
from builders.rollout.reading.doctor.patient import Patient


def credentials(patient: Patient) -> Iterator[Finding]:
    """The credentials are those of the tooling account, where stack sets, journals and packages are."""
    account, tooling = patient.client.account(), patient.rollout.tooling.account
    if account != tooling:
        yield Finding(
            Severity.ERROR,
            f"the credentials are of account {account}, and the tooling account is {tooling}",
            "name a profile of the tooling account with --profile or AWS_PROFILE",
        )
