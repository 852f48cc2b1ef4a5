"""Names that on-premises name servers answer: an outbound resolver endpoint, and the rule that forwards to them."""

from __future__ import annotations

from collections.abc import Sequence

from troposphere import If, NoValue, ec2, route53resolver

from builders.layers._network.on_premises import Names
from builders.stack import Stack


def build(stack: Stack, vpc: ec2.VPC, subnets: Sequence[ec2.Subnet], group: ec2.SecurityGroup, names: Names) -> None:
    """Forward queries for the on-premises domain from the VPC, out of `subnets`, to the name servers there."""
    first, second = names.servers
    endpoint = stack.add(
        route53resolver.ResolverEndpoint(
            "ResolverEndpoint",
            Condition=first.is_given,
            Direction="OUTBOUND",
            IpAddresses=[route53resolver.IpAddressRequest(SubnetId=subnet.ref()) for subnet in subnets],
            SecurityGroupIds=[group.ref()],
        )
    )
    rule = stack.add(
        route53resolver.ResolverRule(
            "ResolverRule",
            Condition=first.is_given,
            RuleType="FORWARD",
            DomainName=names.domain_name,
            ResolverEndpointId=endpoint.ref(),
            TargetIps=[
                route53resolver.TargetAddress(Ip=first.address),
                If(second.is_given, route53resolver.TargetAddress(Ip=second.address), NoValue),
            ],
        )
    )
    stack.add(
        route53resolver.ResolverRuleAssociation(
            "ResolverRuleAssociation", Condition=first.is_given, ResolverRuleId=rule.ref(), VPCId=vpc.ref()
        )
    )
