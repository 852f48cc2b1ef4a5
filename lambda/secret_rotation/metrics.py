"""What the alarms watch: metrics in CloudWatch's embedded metric format, a line on standard output.

CloudWatch reads them out of the function's log (CloudWatch User Guide, "Embedded metric format"), so that they need no
call, no permission and no endpoint in the VPC.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

from rotation_errors import ValueMissing
from secret_store import CURRENT, SecretStore

NAMESPACE = "Stackferry"
DIMENSION = "SecretArn"


def report_outcome(secret_id: str, failed: bool) -> None:
    """RotationFailed: 1 for a step that failed, 0 for a rotation that finished."""
    _emit(secret_id, "RotationFailed", int(failed), "Count")


def report_age(store: SecretStore, secret_id: str) -> None:
    """CurrentVersionAgeDays: days since the version that carries AWSCURRENT was made.

    Sent by a daily event and not by rotations: a rotation that does not happen reports nothing.
    """
    current = next((version for version in store.versions() if CURRENT in version.labels), None)
    if current is None:
        raise ValueMissing(f"the secret has no version with {CURRENT}: its age is unknown")
    age = datetime.now(UTC) - current.created
    _emit(secret_id, "CurrentVersionAgeDays", round(age.total_seconds() / 86_400, 3), "None")


def _emit(secret_id: str, name: str, value: float, unit: str) -> None:
    definition = {"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": [{"Name": name, "Unit": unit}]}
    line = {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [definition]},
        DIMENSION: secret_id,
        name: value,
    }
    print(json.dumps(line), flush=True)
