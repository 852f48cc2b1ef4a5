"""rollout.yaml: reading it, its models, and the JSON schema that is made from them."""

from builders.rollout.file.loading import check_accounts, load
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
    "check_accounts",
    "load",
    "schema",
]
