"""The on-premises name servers, and the domain that they answer for."""

from __future__ import annotations

from troposphere import And, Condition, Equals, Not, Ref, Sub

from builders import parameters
from builders.stack import Stack, Value


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


def declare(stack: Stack) -> Names:
    """Declare the domain and its servers, and the rules that demand one with the other."""
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
    _rules(stack, domain_name, first.ref(), second.ref())
    has_first = stack.condition("HasOnPremisesDns", And(Not(Equals(domain_name, "")), Not(Equals(first.ref(), ""))))
    has_second = stack.condition("HasSecondDnsServer", And(Condition(has_first), Not(Equals(second.ref(), ""))))
    return Names(
        domain_name,
        (
            NameServer(1, first.ref(), Sub(f"${{{first.title}}}/32"), has_first),
            NameServer(2, second.ref(), Sub(f"${{{second.title}}}/32"), has_second),
        ),
    )


def _rules(stack: Stack, domain_name: Ref, first: Ref, second: Ref) -> None:
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
