"""Ranges that meet over Direct Connect must not overlap."""

from __future__ import annotations

import ipaddress
import itertools
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from builders.building.environment_check import client_ranges, overlapping_ranges
from builders.environments import Entry, ParameterFile


def phase(name: str, *items: str) -> ParameterFile:
    """A parameter file with an item a line, from line 1 on."""
    pairs = [item.split("=", 1) for item in items]
    entries = {key: Entry(key, value, line) for line, (key, value) in enumerate(pairs, start=1)}
    return ParameterFile(Path(f"{name}.json"), entries, [])


def found(*files: ParameterFile) -> list[str]:
    return [f"{finding.location}: {finding.message}" for finding in overlapping_ranges(files)]


APART = "two phases behind one Direct Connect need ranges that do not overlap"
UNREACHABLE = "packets for that part would never leave the VPC; choose another range"
TWICE = "one of them is enough, or one is mistyped"


def test_phases_with_ranges_apart_do_not_collide() -> None:
    dev = phase("dev", "VpcCidr=10.0.0.0/16", "OnPremisesCidr1=192.168.0.0/24", "OnPremisesCidr2=192.168.1.0/24")
    prod = phase("prod", "VpcCidr=10.1.0.0/16", "OnPremisesCidr1=192.168.0.0/16")
    assert found(dev, prod) == []


def test_the_vpcs_of_two_phases_collide() -> None:
    dev, prod = phase("dev", "VpcCidr=10.0.0.0/16"), phase("prod", "VpcCidr=10.0.128.0/20")
    assert found(dev, prod) == [
        f"prod.json:1: VpcCidr=10.0.128.0/20 overlaps VpcCidr=10.0.0.0/16 of dev.json line 1; {APART}"
    ]


def test_every_pair_of_phases_is_compared() -> None:
    files = [phase(name, "VpcCidr=10.0.0.0/16") for name in ("dev", "prod", "staging")]
    assert [message.split(";")[0] for message in found(*files)] == [
        "prod.json:1: VpcCidr=10.0.0.0/16 overlaps VpcCidr=10.0.0.0/16 of dev.json line 1",
        "staging.json:1: VpcCidr=10.0.0.0/16 overlaps VpcCidr=10.0.0.0/16 of dev.json line 1",
        "staging.json:1: VpcCidr=10.0.0.0/16 overlaps VpcCidr=10.0.0.0/16 of prod.json line 1",
    ]


def test_a_vpc_collides_with_the_premises() -> None:
    dev = phase("dev", "VpcCidr=10.20.0.0/16", "OnPremisesCidr3=10.0.0.0/8")
    assert found(dev) == [
        f"dev.json:1: VpcCidr=10.20.0.0/16 overlaps OnPremisesCidr3=10.0.0.0/8 of line 2; {UNREACHABLE}"
    ]


def test_a_vpc_collides_with_the_premises_of_another_phase() -> None:
    dev, prod = phase("dev", "VpcCidr=10.20.0.0/16"), phase("prod", "OnPremisesCidr1=10.0.0.0/8")
    assert found(dev, prod) == [
        f"dev.json:1: VpcCidr=10.20.0.0/16 overlaps OnPremisesCidr1=10.0.0.0/8 of prod.json line 1; {UNREACHABLE}"
    ]


def test_premises_that_every_file_repeats_are_reported_once_a_vpc() -> None:
    alpha = phase("alpha", "OnPremisesCidr1=10.0.0.0/8")
    dev = phase("dev", "VpcCidr=10.20.0.0/16", "OnPremisesCidr1=10.0.0.0/8")
    assert found(alpha, dev) == [
        f"dev.json:1: VpcCidr=10.20.0.0/16 overlaps OnPremisesCidr1=10.0.0.0/8 of line 2; {UNREACHABLE}"
    ]


def test_two_ranges_of_the_premises_collide_in_one_file_and_not_across_files() -> None:
    dev = phase("dev", "OnPremisesCidr1=10.0.0.0/8", "OnPremisesCidr2=10.1.0.0/16")
    prod = phase("prod", "OnPremisesCidr1=10.0.0.0/8")
    assert found(dev, prod) == [
        f"dev.json:2: OnPremisesCidr2=10.1.0.0/16 overlaps OnPremisesCidr1=10.0.0.0/8 of line 1; {TWICE}"
    ]


def test_a_list_of_ranges_is_taken_apart() -> None:
    dev = phase("dev", "VpcCidr=10.20.0.0/16", "OnPremisesCidrs=172.16.0.0/12, 10.0.0.0/8")
    assert found(dev) == [
        f"dev.json:1: VpcCidr=10.20.0.0/16 overlaps OnPremisesCidrs=10.0.0.0/8 of line 2; {UNREACHABLE}"
    ]


def test_an_address_inside_a_range_means_the_range() -> None:
    dev = phase("dev", "VpcCidr=10.20.9.9/16", "OnPremisesCidr1=10.20.0.0/24")
    assert found(dev) == [
        f"dev.json:1: VpcCidr=10.20.0.0/16 overlaps OnPremisesCidr1=10.20.0.0/24 of line 2; {UNREACHABLE}"
    ]


@pytest.mark.parametrize("value", ["", "nonsense", "10.0.0.0/33", "::/0"])
def test_what_is_no_range_is_left_to_the_check_of_values(value: str) -> None:
    assert found(phase("dev", "VpcCidr=10.0.0.0/16", f"OnPremisesCidr1={value}")) == []


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(20, 30)), max_size=12))
def test_of_many_ranges_every_pair_that_overlaps_is_found_in_the_order_of_the_files(
    ranges: list[tuple[int, int]],
) -> None:
    """They are not compared each with each, since a thousand targets may have ranges of their own."""
    networks = [ipaddress.IPv4Network((10 << 24 | place << 2, size), strict=False) for place, size in ranges]
    files = [phase(f"phase{number}", f"VpcCidr={network}") for number, network in enumerate(networks)]
    pairs = [
        f"phase{second}.json:1: VpcCidr={networks[second]} overlaps VpcCidr={networks[first]} of phase{first}.json "
        "line 1"
        for first, second in itertools.combinations(range(len(networks)), 2)
        if networks[first].overlaps(networks[second])
    ]
    assert [each.partition(";")[0] for each in found(*files)] == pairs


# Clients of the database

DEV = ("VpcCidr=10.20.0.0/16", "OnPremisesCidr1=172.16.0.0/16")


def found_of_clients(*files: ParameterFile) -> list[str]:
    return [f"{finding.location}: {finding.message}" for finding in client_ranges(files)]


def test_clients_on_premises_and_elsewhere_are_right() -> None:
    clients = ("ApplicationCidr1=172.16.4.0/24", "ApplicationCidr2=10.99.0.0/20", "ApplicationRoute2=true")
    assert found_of_clients(phase("dev", *DEV, *clients, "OperatorCidr1=172.16.9.1/32", "OperatorCidr2=")) == []


def test_a_range_in_the_vpc_is_no_client_from_outside() -> None:
    assert found_of_clients(phase("dev", *DEV, "ApplicationCidr4=10.20.9.0/24")) == [
        "dev.json:3: ApplicationCidr4=10.20.9.0/24 overlaps VpcCidr=10.20.0.0/16 of line 1; a client comes from "
        "outside the VPC; hosts in it are let in by their security group"
    ]


def test_another_phase_is_no_client() -> None:
    prod = phase("prod", "VpcCidr=10.22.0.0/16")
    assert found_of_clients(phase("dev", *DEV, "OperatorCidr1=10.22.0.0/20"), prod) == [
        "dev.json:3: OperatorCidr1=10.22.0.0/20 overlaps VpcCidr=10.22.0.0/16 of prod.json line 1; no phase reaches "
        "another, so none of it can be a client"
    ]


def test_clients_of_one_phase_that_overlap_are_found_and_those_of_two_are_not() -> None:
    dev = phase("dev", *DEV, "ApplicationCidr1=172.16.4.0/24", "OperatorCidr1=172.16.4.9/32")
    prod = phase("prod", "ApplicationCidr1=172.16.4.0/24")
    assert found_of_clients(dev, prod) == [
        f"dev.json:4: OperatorCidr1=172.16.4.9/32 overlaps ApplicationCidr1=172.16.4.0/24 of line 3; {TWICE}"
    ]


@pytest.mark.parametrize("cidr", ["172.16.0.0/16", "172.16.4.0/24"])
def test_a_route_that_on_premises_has_already_is_found(cidr: str) -> None:
    client = (f"ApplicationCidr1={cidr}", "ApplicationRoute1=true")
    assert found_of_clients(phase("dev", *DEV, *client)) == [
        f"dev.json:4: ApplicationCidr1={cidr} lies in OnPremisesCidr1=172.16.0.0/16, which has a route; leave "
        "ApplicationRoute1 out"
    ]
