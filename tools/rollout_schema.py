"""Writes docs/rollout.schema.json, by which an editor completes and checks rollout.yaml."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from builders.rollout.config.schema import RolloutFile
from tools import written_files

SCHEMA = Path("docs/rollout.schema.json")


def rollout_schema() -> dict[str, Any]:
    """The JSON schema as plain data, the same on every run."""
    made = RolloutFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "rollout.yaml of Stackferry"}


def desired_files() -> dict[Path, str]:
    """The schema of the models."""
    return {SCHEMA: json.dumps(rollout_schema(), indent=2) + "\n"}


if __name__ == "__main__":
    sys.exit(written_files.main("tools.rollout_schema", desired_files()))
