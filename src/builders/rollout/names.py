"""The names of a phase's stack sets and plain stacks: known here, and nowhere else."""

from __future__ import annotations

from builders.rollout.model import Target

PREFIX = "stackferry-"
"""Begins every stack set of ours, so that policies can name all of them."""


def stack_set(layer: str, suffix: str) -> str:
    """The stack set of a layer in a phase."""
    return f"{PREFIX}{layer.replace('_', '-')}-{suffix}"


def plain_stack(layer: str, suffix: str, target: Target) -> str:
    """The stack of one place in the network account, where those of all accounts of the phase stand together."""
    return f"{layer.replace('_', '-')}-{suffix}-{target.account}"
