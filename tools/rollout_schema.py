"""Writes docs/rollout.schema.json, by which an editor completes and checks rollout.yaml."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from builders.rollout.config.schema import rollout_schema
from tools import written_files

SCHEMA = Path("docs/rollout.schema.json")


def desired_files() -> dict[Path, str]:
    """The schema of the models."""
    return {SCHEMA: json.dumps(rollout_schema(), indent=2) + "\n"}


if __name__ == "__main__":
    sys.exit(written_files.main("tools.rollout_schema", desired_files()))
