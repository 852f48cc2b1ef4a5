"""What the stacks that all phases share have put out, as the desired state takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from builders.rollout.model import Values


@dataclass(frozen=True)
class Shared:
    """Outputs by name: of `artifacts` in each region, of `administration`, of `shared_network` in each region.

    What does not stand yet is left out.
    """

    tooling: Mapping[str, Values] = field(default_factory=dict)
    administration: Values = field(default_factory=dict)
    network: Mapping[str, Values] = field(default_factory=dict)
