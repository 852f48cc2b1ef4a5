"""rollout.yaml: reading it, its models, and the JSON schema that is made from them."""

from builders.rollout.file.loading import load
from builders.rollout.file.models import (
    Operations,
    PhasePlan,
    RolloutFile,
    SharedAccount,
    StackSets,
    Targets,
    WavePlan,
)
from builders.rollout.file.schema import schema

__all__ = [
    "Operations",
    "PhasePlan",
    "RolloutFile",
    "SharedAccount",
    "StackSets",
    "Targets",
    "WavePlan",
    "load",
    "schema",
]
