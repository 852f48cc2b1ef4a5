"""Evaluation of security groups and network ACLs for a packet."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

from builders.reachability.topology import ALL_PORTS, ANY_PROTOCOL, Entry, GroupRule, Ports


def group_admits(
    rules: Iterable[GroupRule], protocol: str, port: int, peers: Collection[str], ranges: Collection[IPv4Network]
) -> bool:
    """Return whether some rule lets `port` pass with a peer of that id, or with all addresses of `ranges`."""
    fitting = [
        rule for rule in rules if rule.protocol in (protocol, ANY_PROTOCOL) and rule.ports[0] <= port <= rule.ports[1]
    ]
    if any(rule.peer in peers for rule in fitting):
        return True
    open_ranges = [network for rule in fitting if (network := as_range(rule.peer)) is not None]
    return bool(ranges) and all(any(cidr.subnet_of(network) for network in open_ranges) for cidr in ranges)


@lru_cache(maxsize=4_000)
def as_range(peer: str) -> IPv4Network | None:
    """The range that a rule's peer is, or None when it is a group, a prefix list or IPv6."""
    try:
        return IPv4Network(peer)
    except ValueError:
        return None


@lru_cache(maxsize=4_000)
def acl_admits(entries: tuple[Entry, ...], protocol: str, cidr: IPv4Network, ports: Ports) -> bool:
    """Return whether every packet with an address in `cidr` and a port in `ports` passes.

    The answer can change only where an entry's range or ports begin or have just ended, so those are asked.
    """
    addresses = _corners(int(cidr[0]), int(cidr[-1]), ((int(entry.cidr[0]), int(entry.cidr[-1])) for entry in entries))
    numbers = _corners(*ports, (entry.ports for entry in entries))
    return all(
        _decide(entries, protocol, IPv4Address(address), port)
        for address, port in itertools.product(addresses, numbers)
    )


def _corners(first: int, last: int, spans: Iterable[tuple[int, int]]) -> list[int]:
    edges = itertools.chain.from_iterable((begin, end + 1) for begin, end in spans)
    return sorted({first, *(edge for edge in edges if first <= edge <= last)})


def _decide(entries: tuple[Entry, ...], protocol: str, address: IPv4Address, port: int) -> bool:
    for entry in entries:
        # Entries for all protocols are asked without their ports (VPC user guide, "Network ACL rules").
        ports = ALL_PORTS if entry.protocol == ANY_PROTOCOL else entry.ports
        if entry.protocol in (protocol, ANY_PROTOCOL) and address in entry.cidr and ports[0] <= port <= ports[1]:
            return entry.allows
    return False
