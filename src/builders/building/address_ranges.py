"""Finds address ranges that collide over Direct Connect, which the `Rules` of a template cannot compute.

The phases share the way to on-premises, so their VPCs must differ from each other and from every on-premises range.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from builders.building.findings import Finding
from builders.environments import ParameterFile

VPC = "VpcCidr"
ON_PREMISES = "OnPremisesCidr"
"""What the keys of on-premises ranges begin with; one may hold several ranges with commas between them."""


@dataclass(frozen=True)
class _Range:
    file: str
    line: int
    key: str
    network: ipaddress.IPv4Network

    def __str__(self) -> str:
        return f"{self.key}={self.network}"


def collisions(files: Sequence[ParameterFile]) -> Iterator[Finding]:
    """Ranges that overlap: VPCs with each other and with on-premises in any file, on-premises ranges within a file."""
    vpcs = [found for file in files for found in _ranges(file, VPC)]
    on_premises = [found for file in files for found in _ranges(file, ON_PREMISES)]
    for first, second in combinations(vpcs, 2):
        if first.network.overlaps(second.network):
            yield _finding(second, first, "two phases behind one Direct Connect need ranges apart")
    seen = set()
    for vpc, remote in sorted(product(vpcs, on_premises), key=lambda pair: pair[0].file != pair[1].file):
        # Files repeat the ranges of the premises: each range is told once, from the VPC's own file where it is there.
        if vpc.network.overlaps(remote.network) and (vpc, remote.network) not in seen:
            seen.add((vpc, remote.network))
            yield _finding(vpc, remote, "packets for that part would never leave the VPC; choose another range")
    for first, second in combinations(on_premises, 2):
        if first.file == second.file and first.network.overlaps(second.network):
            yield _finding(second, first, "one of them is enough, or one is mistyped")


def _ranges(file: ParameterFile, prefix: str) -> Iterator[_Range]:
    for entry in file.entries.values():
        if entry.key == prefix or (prefix == ON_PREMISES and entry.key.startswith(prefix)):
            for text in entry.value.split(","):
                network = _network(text.strip())
                if network is not None:
                    yield _Range(str(file.path), entry.line, entry.key, network)


def _network(text: str) -> ipaddress.IPv4Network | None:
    """The range, or None for a text that is none: that is a finding about the value already."""
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None


def _finding(one: _Range, other: _Range, why: str) -> Finding:
    where = f"line {other.line}" if other.file == one.file else f"{other.file} line {other.line}"
    return Finding("overlapping-ranges", f"{one} overlaps {other} of {where}; {why}", one.file, one.line)
