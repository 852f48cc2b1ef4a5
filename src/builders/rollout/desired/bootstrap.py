"""The values of what StackSets cannot carry: the stacks of the tooling, network and target accounts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from builders.rollout.desired.shared import Shared
from builders.rollout.desired.templates import Template
from builders.rollout.file import RolloutFile
from builders.rollout.model import Place, Values


@dataclass(frozen=True)
class BootstrapStack:
    """One plain stack: what is deployed where, with complete parameters. `phase` is empty where all phases share it."""

    layer: str
    place: Place
    suffix: str
    template: str
    parameters: Values
    phase: str = ""


def bootstrap_values(
    rollout: RolloutFile,
    scope: str,
    templates: Mapping[str, Template],
    shared: Shared,
    members: Mapping[str, Collection[str]] | None = None,
) -> tuple[BootstrapStack, ...]:
    """The stacks of one scope, in the order in which they are deployed.

    ADMINISTRATION: the tooling account, once, in the first region of the first phase. TOOLING and NETWORK: their
    account, every region of any phase. ACCOUNT: every account of every phase, in the phase's first region. A scope is
    asked for when `shared` holds what the scopes before it have put out. `members` are the accounts of the
    organizational units that phases name. Raises `RolloutFileError` with everything that is wrong.
    """
    raise NotImplementedError
