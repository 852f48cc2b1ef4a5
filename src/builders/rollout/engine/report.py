"""What a rollout came to: every place that did not get there, and why, grouped by cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from builders.rollout.model import Place


@dataclass(frozen=True)
class Missed:
    """An instance that is not what it shall be. `held` tells that it was not tried, since another failed before it."""

    layer: str
    place: Place
    reason: str
    held: bool = False
    stack_id: str = ""


@dataclass
class Report:
    """What one walk did and did not do."""

    operations: int = 0
    reached: dict[str, int] = field(default_factory=dict)
    """By layer, how many instances are what they shall be."""
    missed: list[Missed] = field(default_factory=list)
    stopped: str = ""
    """Why later waves did not begin; empty when all did."""

    @property
    def good(self) -> bool:
        """Whether everything is what it shall be."""
        return not self.missed and not self.stopped

    @property
    def failed(self) -> list[Missed]:
        """Those that were tried."""
        return [each for each in self.missed if not each.held]

    def causes(self) -> Mapping[str, list[Missed]]:
        """The failed ones by their reason, the most frequent first."""
        groups: dict[str, list[Missed]] = defaultdict(list)
        for each in self.failed:
            groups[each.reason].append(each)
        return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))
