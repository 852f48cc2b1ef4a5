"""The desired state of a phase: rollout.yaml, environments/, templates/ and what the shared stacks have put out."""

from builders.rollout.desired.bootstrap import BootstrapStack, bootstrap_values
from builders.rollout.desired.parameter_files import environment, suffix
from builders.rollout.desired.phase import desired, resolved
from builders.rollout.desired.shared import Shared
from builders.rollout.desired.templates import Template, template, templates

__all__ = [
    "BootstrapStack",
    "Shared",
    "Template",
    "bootstrap_values",
    "desired",
    "environment",
    "resolved",
    "suffix",
    "template",
    "templates",
]
