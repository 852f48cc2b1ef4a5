"""The on-premises ranges: fixed slots, since CloudFormation has no loops, of which all but the first may stay empty."""

from __future__ import annotations

from troposphere import And, Condition, Equals, Not, Ref

from builders import parameters
from builders.layers._network.connectivity import IS_CONNECTED
from builders.stack import Stack, Value

SLOTS = 4
PREFIX_LENGTHS = (8, 32)
"""A range of 0.0.0.0/0 would send whatever has no other route, the internet's addresses among them, on-premises."""


class Range(Value):
    """One on-premises range, and the condition under which it is reached."""

    number: int
    cidr: Ref
    is_reached: str


def declare(stack: Stack) -> tuple[Range, ...]:
    """Declare the ranges' parameters, and the condition under which each is reached."""
    return (_first(stack), *(_further(stack, number) for number in range(2, SLOTS + 1)))


def _first(stack: Stack) -> Range:
    cidr = stack.parameter(
        parameters.cidr(
            "OnPremisesCidr1", "On-premises range that Direct Connect reaches", prefix_lengths=PREFIX_LENGTHS
        )
    )
    return Range(1, cidr.ref(), IS_CONNECTED)


def _further(stack: Stack, number: int) -> Range:
    cidr = stack.parameter(
        parameters.cidr(
            f"OnPremisesCidr{number}",
            f"On-premises range number {number}, or empty",
            optional=True,
            prefix_lengths=PREFIX_LENGTHS,
        )
    ).ref()
    is_given = Not(Equals(cidr, ""))
    return Range(number, cidr, stack.condition(f"HasOnPremisesRange{number}", And(Condition(IS_CONNECTED), is_given)))
