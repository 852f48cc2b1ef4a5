"""Clients of a phase's database: applications and the operators' hosts, by range or by security group.

Nobody is let in unless a parameter says so, and then to the database's port alone. A range outside the VPC needs three
things: a rule of the database's group, an entry for the answers in the network ACL, and a route for them. The ACL's
entry for answers from everywhere, which `network` has, lets the requests pass too: an ACL keeps no state and cannot
tell them apart, so an entry of their own would decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from troposphere import AccountId, And, AWSHelperFn, Condition, Equals, Join, Not, Ref, Select, Split, ec2
from troposphere.cloudformation import WaitConditionHandle

from builders import naming, parameters
from builders.layers import network
from builders.layers._network import acl, connectivity
from builders.stack import Scope, Stack, Value

SCOPE = Scope.PHASE

# Nobody comes before the database is there, and it is the last to lose its clients.
AFTER = ("database",)

APPLICATION, OPERATOR = "Application", "Operator"
RANGES = {APPLICATION: 4, OPERATOR: 2}
GROUPS = {APPLICATION: 2, OPERATOR: 1}
"""Limits of each kind for a phase; the ACL has room for 20 entries a direction, and `network` uses eleven."""

PREFIX_LENGTHS = (16, 32)
"""A range wider than a VPC can be is somebody's whole network."""

FIRST_RULE_NUMBER = 400
"""Behind those of `network`."""


class _Slot(Value):
    """A parameter that may let somebody in, and the condition under which it does."""

    kind: str
    number: int
    value: Ref
    is_given: str

    @property
    def parameter(self) -> str:
        """The name of the parameter."""
        return str(self.value.data["Ref"])


def route_parameter(range_parameter: str) -> str:
    """The parameter that says whether the range of another one needs a route."""
    return range_parameter.replace("Cidr", "Route")


def build(stack: Stack) -> None:
    """Let the ranges and groups that are given in, and route what answers them."""
    port = stack.parameter(parameters.database_port()).ref()
    ways = stack.parameter(connectivity.choice()).ref()
    transit_gateway_id = stack.parameter(connectivity.transit_gateway()).ref()
    stack.condition(connectivity.IS_TRANSIT_GATEWAY, Equals(ways, connectivity.TRANSIT_GATEWAY))
    _placeholder(stack)
    ranges, groups = list(_ranges(stack)), list(_groups(stack))
    for slot in groups:
        _let_group_in(stack, slot, port)
    for index, slot in enumerate(ranges):
        _let_range_in(stack, slot, port, FIRST_RULE_NUMBER + index)
        _route_back(stack, slot, transit_gateway_id)
    _rules(stack, ways, ranges, groups)


def _placeholder(stack: Stack) -> None:
    """Add what costs nothing and does nothing: without clients the stack would have no resource at all.

    Nothing in it may ever change, nor may its metadata: CloudFormation updates no such resource (CloudFormation
    template reference, "AWS::CloudFormation::WaitConditionHandle").
    """
    stack.add(WaitConditionHandle("Placeholder"))


def _in_place_of_tags() -> dict[str, Any]:
    """Metadata of a security group's rule: CloudFormation gives rules no tags, and this is what they would say."""
    return {"Tags": {tag: parameters.reference(parameter) for tag, parameter in naming.TAGS.items()}}


def _ranges(stack: Stack) -> Iterator[_Slot]:
    for kind, number in _slots(RANGES):
        cidr = parameters.cidr(
            f"{kind}Cidr{number}",
            f"{kind} range number {number} that may use the database, outside VpcCidr, or empty",
            optional=True,
            prefix_lengths=PREFIX_LENGTHS,
        )
        yield _slot(stack, kind, number, stack.parameter(cidr).ref(), f"Has{kind}Range{number}")


def _groups(stack: Stack) -> Iterator[_Slot]:
    for kind, number in _slots(GROUPS):
        group = parameters.string(
            f"{kind}SecurityGroupId{number}",
            f"{kind} security group number {number} in the VPC that may use the database, or empty",
            pattern=r"^$|^(\d{12}/)?sg-[0-9a-f]{8,17}$",
            explanation="an id that begins with sg-, with another account's number and a slash before it, or empty",
            default="",
        )
        yield _slot(stack, kind, number, stack.parameter(group).ref(), f"Has{kind}Group{number}")


def _slots(counts: dict[str, int]) -> Iterator[tuple[str, int]]:
    return ((kind, number) for kind, count in counts.items() for number in range(1, count + 1))


def _slot(stack: Stack, kind: str, number: int, value: Ref, condition: str) -> _Slot:
    return _Slot(kind, number, value, stack.condition(condition, Not(Equals(value, ""))))


def _let_group_in(stack: Stack, slot: _Slot, port: Ref) -> None:
    """Let the members of a security group in; within the VPC the ACL and the VPC's own route let them pass already."""
    # "account/sg-id", or "sg-id" of our own account: before "sg-" is the account with its slash, or nothing.
    account, identifier = (Select(part, Split("sg-", slot.value)) for part in (0, 1))
    stack.add(
        ec2.SecurityGroupIngress(
            f"DatabaseFrom{slot.kind}Group{slot.number}",
            Condition=slot.is_given,
            GroupId=stack.import_value(network.DATABASE_SECURITY_GROUP_ID),
            SourceSecurityGroupId=Join("", ["sg-", identifier]),
            SourceSecurityGroupOwnerId=Select(0, Split("/", Join("", [account, AccountId]))),
            IpProtocol="tcp",
            FromPort=port,
            ToPort=port,
            Description=f"{slot.kind} group {slot.number}",
            Metadata=_in_place_of_tags(),
        )
    )


def _let_range_in(stack: Stack, slot: _Slot, port: Ref, rule_number: int) -> None:
    stack.add(
        ec2.SecurityGroupIngress(
            f"DatabaseFrom{slot.kind}Range{slot.number}",
            Condition=slot.is_given,
            GroupId=stack.import_value(network.DATABASE_SECURITY_GROUP_ID),
            CidrIp=slot.value,
            IpProtocol="tcp",
            FromPort=port,
            ToPort=port,
            Description=f"{slot.kind} range {slot.number}",
            Metadata=_in_place_of_tags(),
        )
    )
    first, last = acl.CLIENT_PORTS
    stack.add(
        ec2.NetworkAclEntry(
            f"AnswersTo{slot.kind}Range{slot.number}",
            Condition=slot.is_given,
            NetworkAclId=stack.import_value(network.PRIVATE_NETWORK_ACL_ID),
            RuleNumber=rule_number,
            RuleAction="allow",
            Egress=True,
            Protocol=acl.TCP,
            CidrBlock=slot.value,
            PortRange=ec2.PortRange(From=first, To=last),
        )
    )


def _route_back(stack: Stack, slot: _Slot, transit_gateway_id: Ref) -> None:
    """Route what answers a range outside the on-premises ranges, which `network` routes, over the transit gateway.

    A virtual private gateway needs no route: it teaches the table every range that is announced to it, and what is not
    announced it could not forward (EC2 API reference, "EnableVgwRoutePropagation"). So nothing here holds
    on to that gateway when `network` changes to the other.
    """
    needs_route = stack.parameter(
        parameters.boolean(
            route_parameter(slot.parameter),
            f"true where {slot.parameter} lies outside the OnPremisesCidr ranges, behind the transit gateway",
        )
    ).ref()
    stack.add(
        ec2.Route(
            f"RouteTo{slot.kind}Range{slot.number}",
            Condition=stack.condition(
                f"Has{slot.kind}Route{slot.number}",
                And(Condition(slot.is_given), Equals(needs_route, "true"), Condition(connectivity.IS_TRANSIT_GATEWAY)),
            ),
            RouteTableId=stack.import_value(network.PRIVATE_ROUTE_TABLE_IDS),
            DestinationCidrBlock=slot.value,
            TransitGatewayId=transit_gateway_id,
        )
    )
    stack.rule(
        f"{slot.kind}Route{slot.number}NeedsRange",
        Not(Equals(slot.value, "")),
        f"{route_parameter(slot.parameter)} is true, and {slot.parameter} is empty; give the range, or leave the "
        "route out",
        when=Equals(needs_route, "true"),
    )


def _rules(stack: Stack, ways: Ref, ranges: Sequence[_Slot], groups: Sequence[_Slot]) -> None:
    names = ", ".join(slot.parameter for slot in ranges)
    stack.rule(
        "RangesNeedConnectivity",
        And(*(Equals(slot.value, "") for slot in ranges)),
        f"Connectivity None reaches no client outside the VPC; leave {names} empty, or choose a connectivity",
        when=Equals(ways, connectivity.NONE),
    )
    for slots in (ranges, groups):
        for position, slot in enumerate(slots[:-1]):
            _once(stack, slot, slots[position + 1 :])


def _once(stack: Stack, slot: _Slot, others: Sequence[_Slot]) -> None:
    differs: list[AWSHelperFn] = [Not(Equals(slot.value, other.value)) for other in others]
    stack.rule(
        f"{slot.parameter}Once",
        And(*differs) if len(differs) > 1 else differs[0],
        f"{slot.parameter} is given again in {', '.join(other.parameter for other in others)}; AWS refuses a second "
        "rule for the same, so give it once",
        when=Not(Equals(slot.value, "")),
    )
