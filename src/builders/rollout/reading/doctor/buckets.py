"""Packages of functions: a bucket in each region, readable from every account."""

from __future__ import annotations

from collections.abc import Iterator

from builders.errors import RolloutError
from builders.rollout.client.abreast import together
from builders.rollout.client.refusals import NotThere
from builders.rollout.client.sessions import Where
from builders.rollout.model import Place
from builders.rollout.reading.doctor import findings
from builders.rollout.reading.doctor.findings import Finding, Severity
from builders.rollout.reading.doctor.patient import Patient, unasked
from builders.rollout.reading.doctor.roles import BOOTSTRAP

READERS = "name the accounts in ReaderAccountIds, or their organization in OrganizationId, of the tooling parameters"


def buckets(patient: Patient) -> Iterator[Finding]:
    """Every region of the phase has a bucket of artifacts in the tooling account."""
    for region in patient.regions:
        bucket = patient.buckets.get(region)
        if bucket is None:
            yield Finding(Severity.ERROR, "no bucket for packages", BOOTSTRAP, (region,))
            continue
        try:
            patient.client.calls.ask(Where(region), "s3", "HeadBucket", Bucket=bucket)
        except NotThere:
            what = f"artifacts has put out the bucket {bucket}, which is not there"
            yield Finding(Severity.ERROR, what, f"delete the stack of artifacts there, then {BOOTSTRAP}", (region,))


def readers(patient: Patient) -> Iterator[Finding]:
    """Every account can read a package of every region; where none is there yet, apply finds out."""
    for region in patient.regions:
        bucket = patient.buckets.get(region)
        if bucket is None or not patient.packages:
            continue
        there = [key for key in patient.packages if patient.client.objects(region).exists(bucket, key)]
        if there:
            yield from findings.together(_readers(patient, region, bucket, there[0]))
        else:
            what = "whether accounts can read packages: the bucket holds none yet"
            yield Finding(Severity.UNASKED, what, "`rollout-stacksets apply` puts them there, and looks", (region,))


def _readers(patient: Patient, region: str, bucket: str, key: str) -> Iterator[tuple[str, Finding | None]]:
    def look(account: str) -> Finding | None:
        try:
            can = patient.client.members.can_read(Place(account, region), bucket, key)
        except RolloutError as error:
            return unasked(error)
        return None if can else Finding(Severity.ERROR, f"cannot read s3://{bucket}/{key}", f"{READERS}; {BOOTSTRAP}")

    yield from together(look, patient.accounts)
