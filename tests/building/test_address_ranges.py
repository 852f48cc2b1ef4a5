"""Ranges that meet over Direct Connect must not overlap."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.building.environment_check import overlapping_ranges
from builders.environments import Entry, ParameterFile


def phase(name: str, *items: str) -> ParameterFile:
    """A parameter file with an item a line, from line 1 on."""
    pairs = [item.split("=", 1) for item in items]
    entries = {key: Entry(key, value, line) for line, (key, value) in enumerate(pairs, start=1)}
    return ParameterFile(Path(f"{name}.json"), entries, [])


def found(*files: ParameterFile) -> list[str]:
    return [f"{finding.location}: {finding.message}" for finding in overlapping_ranges(files)]


APART = "two phases behind one Direct Connect need ranges apart"
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
