"""The metrics that the alarms watch; the dimension is SecretArn, the event's SecretId."""

from __future__ import annotations

from datetime import UTC, datetime

from embedded_metrics import emit
from rotation_errors import ValueMissing
from secret_store import CURRENT, SecretStore

DIMENSION = "SecretArn"


def report_outcome(secret_id: str, failed: bool) -> None:
    """RotationFailed: 1 for a step that failed, 0 for a rotation that finished."""
    emit(DIMENSION, secret_id, {"RotationFailed": int(failed)})


def report_age(store: SecretStore, secret_id: str) -> None:
    """CurrentVersionAgeDays: days since the version that carries AWSCURRENT was made.

    Sent by a daily event and not by rotations: a rotation that does not happen reports nothing.
    """
    current = next((version for version in store.versions() if CURRENT in version.labels), None)
    if current is None:
        raise ValueMissing(f"the secret has no version with {CURRENT}: its age is unknown")
    age = datetime.now(UTC) - current.created
    days = round(age.total_seconds() / 86_400, 3)
    emit(DIMENSION, secret_id, {"CurrentVersionAgeDays": days}, {"CurrentVersionAgeDays": "None"})
