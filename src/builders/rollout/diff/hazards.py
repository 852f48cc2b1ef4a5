"""What is taken while the old resource stands: CloudFormation makes the new one before it deletes the old.

What CloudFormation refuses, each said before it is tried.

All hazards of one stack's update.

Hazards of a stack set as a whole: its template's limits, and parameters that are new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from builders import resource_types
from builders.errors import EvaluationError
from builders.naming import PARAMETER_LIMIT_BYTES, SECTION_LIMITS, TEMPLATE_LIMIT_BYTES
from builders.rollout.diff.data_loss import stateful_hazards, task_hazards
from builders.rollout.diff.effects import Change, Effect, Hazard, HazardKind, as_json_text, is_custom, mentions_any
from builders.rollout.diff.exports import Imports, export_hazards
from builders.rollout.diff.resources import Comparison, custom_name, parsed_body
from builders.rollout.model import Deployed, Permissions, StackSet, StackSetSpec, Target
from builders.text import name_list

# The properties of which there is one at a time: ranges in a VPC do not overlap (VPC user guide, "Subnet CIDR blocks"),
# a table has one route to a destination, a network ACL one rule of a number and direction (EC2 API: CreateRoute,
# CreateNetworkAclEntry).
_PLACE = {
    "AWS::EC2::NetworkAclEntry": ("NetworkAclId", "RuleNumber", "Egress"),
    "AWS::EC2::Route": ("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId"),
    "AWS::EC2::Subnet": ("VpcId", "CidrBlock"),
}


def taken_name_hazards(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """Yield the new resources whose name or place an old one holds."""
    replaced = frozenset(each.logical_id for each in comparison.changes if each.effect is Effect.REPLACE)
    going = [each for each in comparison.changes if each.effect in (Effect.REMOVE, Effect.RETAIN)]
    for change in comparison.changes:
        if change.effect in (Effect.REPLACE, Effect.MAY_REPLACE):
            yield from _beside_itself(layer, comparison, change, replaced)
        elif change.effect is Effect.ADD:
            for old in going:
                if old.type == change.type:
                    yield from _beside_another(layer, comparison, change, old, replaced)


def _beside_itself(layer: str, comparison: Comparison, change: Change, replaced: frozenset[str]) -> Iterator[Hazard]:
    if _same_place(comparison, change, change.logical_id, replaced):
        target = ", ".join(_PLACE[change.type])
        yield Hazard(
            HazardKind.ALREADY_EXISTS,
            layer,
            change.logical_id,
            f"{change.logical_id} is replaced, by {', '.join(change.causes)}, and the new one would stand beside "
            f"the old with the same {target}",
            f"give it another place, or remove {change.logical_id} in a release of its own first",
            acknowledgeable=change.effect is Effect.MAY_REPLACE,
        )


def _beside_another(
    layer: str, comparison: Comparison, change: Change, old: Change, replaced: frozenset[str]
) -> Iterator[Hazard]:
    if change.custom_name and change.custom_name == old.custom_name:
        kind, what = HazardKind.CUSTOM_NAME, f"the name {change.custom_name}"
    elif _same_place(comparison, change, old.logical_id, replaced):
        kind, what = HazardKind.ALREADY_EXISTS, f"its {', '.join(_PLACE[change.type])}"
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
    before = _target(change.type, comparison.before.resources[old])
    after = _target(change.type, comparison.after.resources[change.logical_id])
    # A place in a resource that is replaced too, such as a new VPC, is another place.
    return before == after and not mentions_any(list(after), replaced)


def _target(kind: str, body: Mapping[str, Any]) -> tuple[str, ...]:
    properties = body.get("Properties", {})
    return tuple(as_json_text(properties.get(name, "")) for name in _PLACE[kind])


def refusal_hazards(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """Yield what CloudFormation would answer with a failed update."""
    yield from _state(layer, comparison)
    yield from _values(layer, comparison)
    for change in comparison.changes:
        if change.effect in (Effect.REPLACE, Effect.MAY_REPLACE):
            yield from _replacement(layer, comparison, change)
    yield from taken_name_hazards(layer, comparison)


def _state(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    if comparison.status == "UPDATE_ROLLBACK_FAILED":
        way = "repair what its events name, then `aws cloudformation continue-update-rollback`"
    elif comparison.status.endswith("_IN_PROGRESS"):
        way = "wait until it is over"
    else:
        return
    message = f"the stack is in {comparison.status}: CloudFormation refuses updates"
    yield Hazard(HazardKind.STACK_STATE, layer, "", message, way, acknowledgeable=False)


def _values(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    for sentence in comparison.after.failed_rules:
        way = "give parameters for which it holds"
        yield Hazard(
            HazardKind.RULE, layer, "", f"a rule of the template fails: {sentence}", way, acknowledgeable=False
        )
    for name, value in comparison.values:
        size = len(value.encode())
        if size > PARAMETER_LIMIT_BYTES:
            message = f"parameter {name} has {size} bytes; CloudFormation takes {PARAMETER_LIMIT_BYTES}"
            yield Hazard(HazardKind.LIMIT, layer, name, message, f"shorten {name}", acknowledgeable=False)


def _replacement(layer: str, comparison: Comparison, change: Change) -> Iterator[Hazard]:
    before, after = comparison.before.resources[change.logical_id], comparison.after.resources[change.logical_id]
    name, certain = change.logical_id, change.effect is Effect.REPLACE
    causes = ", ".join(change.causes)
    if before["Type"] != after["Type"]:
        message = f"{name} changes from {before['Type']} to {after['Type']}: update of resource type is not permitted"
        way = "give the new resource another logical id"
        yield Hazard(HazardKind.TYPE_CHANGE, layer, name, message, way, acknowledgeable=False)
        return
    if is_custom(change.type) and any(cause.split(" ")[0] == "ServiceToken" for cause in change.causes):
        # "Modifying service token is not allowed" (cloudformation-coverage-roadmap#802).
        message = f"{name}: {causes} changes, and modifying the service token of a custom resource is not allowed"
        way = "give the custom resource another logical id, or leave its function as it is"
        yield Hazard(HazardKind.SERVICE_TOKEN, layer, name, message, way, acknowledgeable=not certain)
    kind = resource_types.load(change.type, comparison.region)
    if kind is None or kind.deleted_first:
        return
    if change.custom_name and change.custom_name == custom_name(before, comparison.region):
        message = (
            f"{name} is named {change.custom_name}, and {causes} {'requires' if certain else 'may require'} replacing "
            "it: cannot update a stack when a custom-named resource requires replacing"
        )
        way = f"change {kind.name_property} too (another suffix), or remove {name} in a release of its own first"
        yield Hazard(HazardKind.CUSTOM_NAME, layer, name, message, way, acknowledgeable=not certain)


def hazards_of(
    layer: str, comparison: Comparison, *, neighbours: Mapping[str, Imports] | None = None, task_runs: bool = False
) -> tuple[Hazard, ...]:
    """Return what stands in the way of an update: first what cannot be acknowledged, then by kind and resource.

    `neighbours` are the other layers deployed at the place with what they import; `task_runs` tells whether the
    replication task of the place runs. The messages name no place, so that those of many places can be gathered.
    """
    if comparison.problem:
        way = "compare it by a change set (plan --change-sets), or put a template there that can be evaluated"
        message = f"cannot be compared: {comparison.problem}"
        return (Hazard(HazardKind.NOT_COMPARABLE, layer, "", message, way, acknowledgeable=True),)
    found = [*stateful_hazards(layer, comparison), *refusal_hazards(layer, comparison)]
    found += export_hazards(layer, comparison, neighbours or {})
    if task_runs:
        found += task_hazards(layer, comparison)
    return tuple(sorted(found, key=lambda each: (each.acknowledgeable, each.kind, each.resource, each.message)))


def limit_hazards(layer: str, template: str, permissions: Permissions) -> tuple[Hazard, ...]:
    """What CloudFormation or StackSets refuse in a template, wherever it goes."""
    return tuple(
        Hazard(kind, layer, resource, message, way, acknowledgeable=False)
        for kind, resource, message, way in _refused(template, permissions)
    )


def new_parameter_hazards(
    spec: StackSetSpec, state: StackSet | None, deployed: Mapping[Target, Deployed] | None = None
) -> tuple[Hazard, ...]:
    """Parameters that instances do not have yet and that shall differ among them.

    A value of an instance's own can only be given once every instance has the parameter with the set's value
    (UpdateStackInstances, "ParameterOverrides"). `deployed` are the stacks that are known; of the others the set's
    template is taken.
    """
    if state is None:
        return ()
    lacking: defaultdict[str, list[Target]] = defaultdict(list)
    for target in sorted(state.instances.keys() & spec.overrides.keys()):
        stack = (deployed or {}).get(target)
        known = _parameters(stack.template if stack else state.template)
        for name in spec.overrides[target]:
            if known is not None and name not in known:
                lacking[name].append(target)
    return tuple(
        Hazard(
            HazardKind.NEW_PARAMETER,
            spec.layer,
            name,
            f"parameter {name} is new and has a value of its own at {name_list(targets, 3)}: an instance cannot be "
            "given one before every instance has the parameter",
            f"first roll out with one value of {name} for all, then with the values of their own",
            acknowledgeable=False,
        )
        for name, targets in sorted(lacking.items())
    )


def _refused(template: str, permissions: Permissions) -> Iterator[tuple[HazardKind, str, str, str]]:
    size = len(template.encode())
    if size > TEMPLATE_LIMIT_BYTES:
        message = f"the template has {size} bytes; {TEMPLATE_LIMIT_BYTES} go without a bucket"
        yield HazardKind.LIMIT, "", message, "split the layer, or shorten it"
    try:
        data = parsed_body(template)
    except EvaluationError as error:
        yield HazardKind.NOT_COMPARABLE, "", str(error), "build the templates again with build-templates"
        return
    for section, most in SECTION_LIMITS.items():
        count = len(data.get(section, {}))
        if count > most:
            message = f"the template has {count} {section.lower()}; CloudFormation takes {most}"
            yield HazardKind.LIMIT, section, message, "split the layer"
    if permissions.service_managed:
        yield from _refused_by_service(data)


def _refused_by_service(data: Mapping[str, Any]) -> Iterator[tuple[HazardKind, str, str, str]]:
    """Service-managed sets take no nested stacks, transforms or macros ("Create CloudFormation StackSets with
    service-managed permissions")."""
    kind, way = HazardKind.SERVICE_MANAGED, "write it out in the template, or use a self-managed set"
    if "Transform" in data or _has_transform(data):
        yield kind, "Transform", "a service-managed set takes no transforms and no macros", way
    for name, body in data["Resources"].items():
        if isinstance(body, dict) and body.get("Type") == "AWS::CloudFormation::Stack":
            yield kind, name, f"a service-managed set takes no nested stacks, and {name} is one", way


def _has_transform(node: Any) -> bool:
    if isinstance(node, dict):
        return "Fn::Transform" in node or any(map(_has_transform, node.values()))
    return isinstance(node, list) and any(map(_has_transform, node))


def _parameters(template: str) -> frozenset[str] | None:
    try:
        return frozenset(parsed_body(template).get("Parameters", {}))
    except EvaluationError:
        return None
