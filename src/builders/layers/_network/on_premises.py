"""The on-premises end of the network: its ranges, its database's port, its name servers and their domain."""

from __future__ import annotations

from troposphere import And, Condition, Equals, Not, Ref, Sub

from builders import parameters
from builders.layers._network import connectivity
from builders.stack import Stack, Value

SLOTS = 4
"""Number of on-premises ranges, since CloudFormation has no loops; all but the first may stay empty."""
PREFIX_LENGTHS = (8, 32)
"""A range of 0.0.0.0/0 would send whatever has no other route, the internet's addresses among them, on-premises."""


class Range(Value):
    """One on-premises range, and the condition under which it is reached."""

    number: int
    cidr: Ref
    is_reached: str


class NameServer(Value):
    """One name server, the range that holds it alone, and the condition under which it is given."""

    number: int
    address: Ref
    host_range: Sub
    is_given: str


class Names(Value):
    """The domain and the two servers that answer for it; the second may be missing."""

    domain_name: Ref
    servers: tuple[NameServer, NameServer]


class OnPremises(Value):
    """The other end of the Direct Connect, as parameters and conditions."""

    gateways: connectivity.Gateways
    ranges: tuple[Range, ...]
    source_port: Ref
    names: Names


def declare(stack: Stack) -> OnPremises:
    """Declare the parameters, conditions and rules that say where on-premises is and how it is reached."""
    gateways = connectivity.declare(stack)
    source_port = stack.parameter(
        parameters.integer(
            "SourcePort", "Port that the on-premises PostgreSQL listens on", minimum=1, maximum=65535, default=5432
        )
    )
    names = _names(stack)
    connectivity.add_rules(stack, gateways, names.domain_name)
    return OnPremises(gateways, _ranges(stack), source_port.ref(), names)


def _ranges(stack: Stack) -> tuple[Range, ...]:
    return (_first_range(stack), *(_further_range(stack, number) for number in range(2, SLOTS + 1)))


def _first_range(stack: Stack) -> Range:
    cidr = stack.parameter(
        parameters.cidr(
            "OnPremisesCidr1", "On-premises range that Direct Connect reaches", prefix_lengths=PREFIX_LENGTHS
        )
    )
    return Range(1, cidr.ref(), connectivity.IS_CONNECTED)


def _further_range(stack: Stack, number: int) -> Range:
    cidr = stack.parameter(
        parameters.cidr(
            f"OnPremisesCidr{number}",
            f"On-premises range number {number}, or empty",
            optional=True,
            prefix_lengths=PREFIX_LENGTHS,
        )
    ).ref()
    is_reached = And(Condition(connectivity.IS_CONNECTED), Not(Equals(cidr, "")))
    return Range(number, cidr, stack.condition(f"HasOnPremisesRange{number}", is_reached))


def _names(stack: Stack) -> Names:
    domain_name = stack.parameter(
        parameters.string(
            "OnPremisesDomainName",
            "Domain whose names the on-premises name servers answer, such as corp.internal; empty for none",
            pattern=r"^$|^([a-z0-9_]([a-z0-9-]*[a-z0-9])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?$",
            explanation="a domain name in lower case, or empty",
            default="",
            max_length=253,
        )
    ).ref()
    first, second = (
        stack.parameter(
            parameters.address(f"OnPremisesDnsServer{number}", f"On-premises name server number {number}, or empty")
        )
        for number in (1, 2)
    )
    _rules_of_names(stack, domain_name, first.ref(), second.ref())
    has_first = stack.condition("HasOnPremisesDns", And(Not(Equals(domain_name, "")), Not(Equals(first.ref(), ""))))
    has_second = stack.condition("HasSecondDnsServer", And(Condition(has_first), Not(Equals(second.ref(), ""))))
    return Names(
        domain_name,
        (
            NameServer(1, first.ref(), Sub(f"${{{first.title}}}/32"), has_first),
            NameServer(2, second.ref(), Sub(f"${{{second.title}}}/32"), has_second),
        ),
    )


def _rules_of_names(stack: Stack, domain_name: Ref, first: Ref, second: Ref) -> None:
    stack.rule(
        "DomainNeedsNameServer",
        Not(Equals(first, "")),
        "OnPremisesDomainName needs OnPremisesDnsServer1; give the address of a name server that answers for it",
        when=Not(Equals(domain_name, "")),
    )
    stack.rule(
        "NameServerNeedsDomain",
        And(Equals(first, ""), Equals(second, "")),
        "OnPremisesDnsServer1 and OnPremisesDnsServer2 need OnPremisesDomainName; give the domain that they answer for",
        when=Equals(domain_name, ""),
    )
