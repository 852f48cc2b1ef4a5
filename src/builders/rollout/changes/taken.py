"""What is taken while the old resource stands: CloudFormation makes the new one before it deletes the old."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from builders.rollout.changes.comparison import Comparison
from builders.rollout.changes.differences import mentions_any, text
from builders.rollout.changes.effects import Change, Effect, Hazard, HazardKind

# The properties of which there is one at a time: ranges in a VPC do not overlap (VPC user guide, "Subnet CIDR blocks"),
# a table has one route to a destination, a network ACL one rule of a number and direction (EC2 API: CreateRoute,
# CreateNetworkAclEntry).
_PLACE = {
    "AWS::EC2::NetworkAclEntry": ("NetworkAclId", "RuleNumber", "Egress"),
    "AWS::EC2::Route": ("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId"),
    "AWS::EC2::Subnet": ("VpcId", "CidrBlock"),
}


def taken(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """Yield the new resources whose name or place an old one holds."""
    replaced = frozenset(each.logical_id for each in comparison.changes if each.effect is Effect.REPLACE)
    going = [each for each in comparison.changes if each.effect in (Effect.REMOVE, Effect.KEEP)]
    for change in comparison.changes:
        if change.effect in (Effect.REPLACE, Effect.MAY_REPLACE):
            yield from _beside_itself(layer, comparison, change, replaced)
        elif change.effect is Effect.ADD:
            for old in going:
                if old.type == change.type:
                    yield from _beside_another(layer, comparison, change, old, replaced)


def _beside_itself(layer: str, comparison: Comparison, change: Change, replaced: frozenset[str]) -> Iterator[Hazard]:
    if _same_place(comparison, change, change.logical_id, replaced):
        place = ", ".join(_PLACE[change.type])
        yield Hazard(
            HazardKind.SAME_PLACE,
            layer,
            change.logical_id,
            f"{change.logical_id} is replaced, by {', '.join(change.causes)}, and the new one would stand beside "
            f"the old with the same {place}",
            f"give it another place, or remove {change.logical_id} in a release of its own first",
            acknowledgeable=change.effect is Effect.MAY_REPLACE,
        )


def _beside_another(
    layer: str, comparison: Comparison, change: Change, old: Change, replaced: frozenset[str]
) -> Iterator[Hazard]:
    if change.named and change.named == old.named:
        kind, what = HazardKind.CUSTOM_NAME, f"the name {change.named}"
    elif _same_place(comparison, change, old.logical_id, replaced):
        kind, what = HazardKind.SAME_PLACE, f"its {', '.join(_PLACE[change.type])}"
    else:
        return
    message = (
        f"{change.logical_id} takes {what} from {old.logical_id}: CloudFormation makes the new resource before it "
        "deletes the old"
    )
    way = f"keep the logical id {old.logical_id}, or remove {old.logical_id} in a release of its own first"
    yield Hazard(kind, layer, change.logical_id, message, way, acknowledgeable=False)


def _same_place(comparison: Comparison, change: Change, old: str, replaced: frozenset[str]) -> bool:
    if change.type not in _PLACE:
        return False
    before = _place(change.type, comparison.before.resources[old])
    after = _place(change.type, comparison.after.resources[change.logical_id])
    # A place in a resource that is replaced too, such as a new VPC, is another place.
    return before == after and not mentions_any(list(after), replaced)


def _place(kind: str, body: Mapping[str, Any]) -> tuple[str, ...]:
    properties = body.get("Properties", {})
    return tuple(text(properties.get(name, "")) for name in _PLACE[kind])
