"""The JSON schema of rollout.yaml, for editors that speak the YAML language server's protocol."""

from __future__ import annotations

from typing import Any

from builders.rollout.file.models import RolloutFile


def schema() -> dict[str, Any]:
    """The schema as plain data, the same on every run."""
    made = RolloutFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "rollout.yaml of Stackferry"}
