"""Hazards of one stack's update: data that it loses, a replication that it breaks, and what CloudFormation refuses."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from builders import naming, resource_types, service_limits
from builders.evaluate import without_secrets
from builders.naming import PARAMETER_LIMIT_BYTES
from builders.parameter_validation import as_text
from builders.stack_diff.comparison import Comparison
from builders.stack_diff.effects import (
    ATTRIBUTES,
    Change,
    Effect,
    Resource,
    custom_name,
    is_custom,
    references,
)
from builders.stack_diff.exports import Imports, changed_exports
from builders.template_bodies import REPAIRS, deletion_policy


class HazardKind(enum.StrEnum):
    """The reason why an update should not simply go ahead."""

    NOT_COMPARABLE = "not-comparable"
    STATEFUL = "stateful"
    SHARED = "shared"
    GENERATED_SECRET = "generated-secret"  # noqa: S105  a kind, not a secret
    RUNNING_TASK = "running-task"
    CUSTOM_NAME = "custom-name"
    REFUSED = "refused"
    TYPE_CHANGE = "type-change"
    SERVICE_TOKEN = "service-token"  # noqa: S105  a kind, not a token
    ALREADY_EXISTS = "same-place"
    ROUTES = "routes"
    STACK_STATE = "stack-state"
    RULE = "rule"
    EXPORT_IN_USE = "export-in-use"
    NEW_PARAMETER = "new-parameter"
    NAME_CONFLICT = "collision"
    LIMIT = "limit"
    NO_EFFECT = "no-effect"
    SERVICE_MANAGED = "service-managed"
    ROTATION_OFF = "rotation-off"
    BOUNDARY = "boundary"
    NOT_IMPORTABLE = "not-importable"


@dataclass(frozen=True)
class Hazard:
    """Loss or refusal that a change brings. `resource` is a logical id, an export's or a parameter's name, or empty.

    What is not `acknowledgeable` would be refused by AWS or break what runs: only the remedy helps. With `needs_order`
    there is no hazard while those layers go first.
    """

    kind: HazardKind
    layer: str
    resource: str
    message: str
    remedy: str
    acknowledgeable: bool
    needs_order: tuple[str, ...] = ()


def masked(hazard: Hazard, secrets: Collection[str]) -> Hazard:
    """The hazard without the values of NoEcho parameters, which names may have."""
    if not secrets:
        return hazard
    message, resource = (without_secrets(each, secrets) for each in (hazard.message, hazard.resource))
    return replace(hazard, message=message, resource=resource)


def hazards_of(
    layer: str, comparison: Comparison, *, neighbours: Mapping[str, Imports] | None = None, task_runs: bool = False
) -> tuple[Hazard, ...]:
    """Return the hazards of an update: first what cannot be acknowledged, then by kind and resource.

    `neighbours` are the other layers deployed in the account and region, with what they import; `task_runs` tells
    whether the replication task there runs. The messages name no account, so that those of many can be merged.
    """
    if comparison.problem:
        remedy = "compare it by a change set (plan --change-sets), or put a template there that can be evaluated"
        message = f"cannot be compared: {comparison.problem}"
        return (Hazard(HazardKind.NOT_COMPARABLE, layer, "", message, remedy, acknowledgeable=True),)
    found = [
        *_losses(layer, comparison),
        *_refused_update(layer, comparison),
        *_refused_replacements(layer, comparison),
        *_refused_changes(layer, comparison),
        *_taken_identities(layer, comparison),
        *_moved_routes(layer, comparison),
        *_lost_boundaries(layer, comparison),
        *_exports_in_use(layer, comparison, neighbours or {}),
    ]
    if task_runs:
        found += _running_task(layer, comparison)
    found = [masked(each, comparison.secrets) for each in found]
    return tuple(sorted(found, key=lambda each: (each.acknowledgeable, each.kind, each.resource, each.message)))


STATEFUL = {
    "AWS::RDS::DBInstance": "a new database is empty",
    "AWS::RDS::DBCluster": "a new cluster is empty",
    "AWS::DMS::ReplicationInstance": "its tasks go with it, and with them the position in the source's log",
    "AWS::DMS::ReplicationTask": "a new task loads everything again, and the old one's slot stays on the source",
    "AWS::KMS::Key": "what the old key encrypted, snapshots too, is unreadable without it",
    "AWS::SecretsManager::Secret": "a new secret has a new password; a deleted one has no recovery window",
}
"""The types whose loss is more than an outage, and what is lost. Their replacement or removal is acknowledged."""

SHARED = {
    "AWS::EC2::TransitGateway": "every phase loses its attachment, its route table and its routes to on-premises",
    "AWS::EC2::TransitGatewayRouteTable": "on-premises finds no phase until each one propagates into the new table",
    "AWS::RAM::ResourceShare": "accounts outside the organization must accept the new share by hand",
    "AWS::DirectConnect::DirectConnectGateway": "its virtual interfaces and associations go with it, for every phase",
    "AWS::DirectConnect::DirectConnectGatewayAssociation": "on-premises reaches no phase until a new one is associated",
    "AWS::DirectConnect::TransitVirtualInterface": "the BGP session with on-premises ends, for every phase",
    "AWS::S3::Bucket": "packages, releases and journals of all phases are looked for in the new one",
}
"""The types that all phases use of the shared accounts, and what they lose when one is replaced or removed."""

_WORDS = {
    Effect.REPLACE: "is replaced",
    Effect.MAY_REPLACE: "may be replaced",
    Effect.REMOVE: "is removed",
    Effect.RETAIN: "leaves the stack",
    Effect.MODIFY: "is modified",
}
_LEAVING = (Effect.REMOVE, Effect.RETAIN)
_GENERATED = "GenerateSecretString"
_GROWTH = "MaxAllocatedStorage"  # RDS user guide, "Managing capacity automatically with ... storage autoscaling"


def _losses(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """Changes that lose data, or that would generate a new password."""
    for change in comparison.changes:
        name = change.logical_id
        if change.type in STATEFUL and (change.effect.replaces or change.effect in _LEAVING):
            message = f"{_what(change)}{_because(change)}: {STATEFUL[change.type]}; {_remainder(change, comparison)}"
            remedy = f"{_avoidance(change)}, or acknowledge {layer}/{name}"
            yield Hazard(HazardKind.STATEFUL, layer, name, message, remedy, acknowledgeable=True)
        elif change.type == "AWS::SecretsManager::Secret" and change.effect is Effect.MODIFY:
            causes = [cause for cause in change.causes if _path(cause).split(".")[0] == _GENERATED]
            if causes:
                message = f"{name} gets a new password, by {', '.join(causes)}, and loses what its attachment added"
                remedy = f"leave {_GENERATED} as it is, or acknowledge {layer}/{name}"
                yield Hazard(HazardKind.GENERATED_SECRET, layer, name, message, remedy, acknowledgeable=True)
        after = comparison.after.resources.get(name, {}).get("Properties", {})
        if change.type == "AWS::RDS::DBInstance" and _GROWTH in change.causes and _GROWTH not in after:
            message = f"{name} loses {_GROWTH}, which does nothing: RDS keeps the limit, and the storage grows on"
            remedy = f"set the limit to the present size by modify-db-instance, then acknowledge {layer}/{name}"
            yield Hazard(HazardKind.NO_EFFECT, layer, name, message, remedy, acknowledgeable=True)


def shared_losses(layer: str, comparison: Comparison, users: str) -> Iterator[Hazard]:
    """Changes by which the phases lose what the shared accounts have for them; `users` tells who uses it now.

    What follows from another resource's replacement is acknowledged with that.
    """
    for change in comparison.changes:
        follows = change.causes and all(" " in cause for cause in change.causes)
        if change.type in SHARED and not follows and (change.effect.replaces or change.effect in _LEAVING):
            told = f"; {users}" if users else ""
            message = f"{_what(change)}{_because(change)}: {SHARED[change.type]}{told}"
            remedy = f"{_avoidance(change)}, or acknowledge {layer}/{change.logical_id}"
            yield Hazard(HazardKind.SHARED, layer, change.logical_id, message, remedy, acknowledgeable=True)


def _what(change: Change) -> str:
    return f"{change.logical_id} ({change.type}) {_WORDS[change.effect]}"


def _because(change: Change) -> str:
    return f", by {', '.join(change.causes)}" if change.causes else ""


def _path(cause: str) -> str:
    """The property of a cause, without ` (X is replaced)`."""
    return cause.partition(" ")[0]


def _remainder(change: Change, comparison: Comparison) -> str:
    """The rest of the old resource."""
    if change.retained:
        return "the old one stays, outside the stack"
    if change.type == "AWS::KMS::Key":
        return "it can be called back for 7 to 30 days"  # KMS developer guide, "Delete an AWS KMS key"
    body = comparison.before.resources[change.logical_id]
    policy = deletion_policy(body) if change.effect is Effect.REMOVE else body.get("UpdateReplacePolicy")
    return "a snapshot of it stays" if policy == "Snapshot" else "nothing of it stays"


def _avoidance(change: Change) -> str:
    """The remedy by the causes, which have ` (X is replaced)` where they follow from another resource."""
    if change.effect in _LEAVING:
        return f"leave {change.logical_id} in the template, and its condition true"
    direct = [cause for cause in change.causes if " " not in cause]
    others = sorted({_path(cause.partition("(")[2]) for cause in change.causes if " " in cause})
    parts = [f"change {', '.join(direct)}"] if direct else []
    parts += [f"replace {', '.join(others)}"] if others else []
    return f"do not {' or '.join(parts)}"


def _refused_update(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """A stack that takes no update or no deletion, Rules that do not hold, and values that are too long."""
    remedy = REPAIRS.get(comparison.status, "") if comparison.templates[1] else ""  # each can be deleted
    if comparison.status.endswith("_IN_PROGRESS"):
        remedy = "wait until it is over"
    if remedy:
        message = f"the stack is in {comparison.status}: CloudFormation refuses updates"
        yield Hazard(HazardKind.STACK_STATE, layer, "", message, remedy, acknowledgeable=False)
    if comparison.protected and not comparison.templates[1]:
        # A deletion by StackSets that fails leaves the instance INOPERABLE (API reference, StackInstance).
        message = "termination protection is on: CloudFormation does not delete the stack"
        remedy = "`aws cloudformation update-termination-protection --no-enable-termination-protection` in its account"
        yield Hazard(HazardKind.STACK_STATE, layer, "", message, remedy, acknowledgeable=False)
    for sentence in comparison.after.failed_rules:
        message, remedy = f"a rule of the template fails: {sentence}", "give parameters for which it holds"
        yield Hazard(HazardKind.RULE, layer, "", message, remedy, acknowledgeable=False)
    for name, value in comparison.values:
        size = len(value.encode(errors="surrogatepass"))
        if size > PARAMETER_LIMIT_BYTES:
            message = f"parameter {name} has {size} bytes; CloudFormation takes {PARAMETER_LIMIT_BYTES}"
            yield Hazard(HazardKind.LIMIT, layer, name, message, f"shorten {name}", acknowledgeable=False)


def _refused_replacements(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    for change in comparison.changes:
        if not change.effect.replaces:
            continue
        name, causes = change.logical_id, ", ".join(change.causes)
        before, after = comparison.before.resources[name], comparison.after.resources[name]
        if before["Type"] != after["Type"]:
            message = (
                f"{name} changes from {before['Type']} to {after['Type']}: update of resource type is not permitted"
            )
            remedy = "give the new resource another logical id"
            yield Hazard(HazardKind.TYPE_CHANGE, layer, name, message, remedy, acknowledgeable=False)
            continue
        perhaps = change.effect is Effect.MAY_REPLACE
        if is_custom(change.type) and any(_path(cause) == "ServiceToken" for cause in change.causes):
            # "Modifying service token is not allowed" (cloudformation-coverage-roadmap#802).
            message = f"{name}: {causes} changes, and modifying the service token of a custom resource is not allowed"
            remedy = "give the custom resource another logical id, or leave its function as it is"
            yield Hazard(HazardKind.SERVICE_TOKEN, layer, name, message, remedy, acknowledgeable=perhaps)
        kind = resource_types.load(change.type, comparison.region)
        if kind is None or kind.deleted_first:
            continue
        if change.named and change.named == custom_name(before, comparison.region):
            message = (
                f"{name} is named {change.named}, and {causes} {'may require' if perhaps else 'requires'} "
                "replacing it: cannot update a stack when a custom-named resource requires replacing"
            )
            remedy = f"change {kind.name_property} too (another suffix), or remove {name} in a release of its own first"
            yield Hazard(HazardKind.CUSTOM_NAME, layer, name, message, remedy, acknowledgeable=perhaps)


_REMEDIES = {
    ("AWS::RDS::DBInstance", "AllocatedStorage"): "leave it, or add a tenth at least",
    ("AWS::RDS::DBInstance", "EngineVersion"): "leave it, or go up, to a new major version with "
    "AllowMajorVersionUpgrade; nothing but a restored snapshot goes back",
    ("AWS::DMS::ReplicationInstance", "EngineVersion"): "leave it, or go up",
}


def _refused_changes(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """Changes in place that a service refuses, which is found out when the update is half done."""
    for change in comparison.changes:
        if change.effect is not Effect.MODIFY:
            continue
        name = change.logical_id
        old, new = (each.resources[name].get("Properties", {}) for each in (comparison.before, comparison.after))
        for key, sentence in service_limits.change_refusals(change.type, old, new):
            was, becomes = (as_text(given[key]) if key in given else "its default" for given in (old, new))
            message = f"{name} cannot change {key} from {was} to {becomes}: {sentence}"
            remedy = _REMEDIES.get((change.type, key), "leave it, or make another resource, with another logical id")
            yield Hazard(HazardKind.REFUSED, layer, name, message, remedy, acknowledgeable=False)


ROTATION_SCHEDULE = "AWS::SecretsManager::RotationSchedule"

# The properties of which there is one at a time: ranges in a VPC do not overlap (VPC user guide, "Subnet CIDR blocks"),
# a table has one route to a destination, a network ACL one rule of a number and direction, a security group one rule
# for the same ports and peer (EC2 API: CreateRoute, CreateNetworkAclEntry, AuthorizeSecurityGroupIngress), and an
# attachment one route table (VPC Transit Gateways guide, "Transit gateway route tables";
# landing-zone-accelerator-on-aws#175).
_IDENTITY = {
    "AWS::EC2::NetworkAclEntry": ("NetworkAclId", "RuleNumber", "Egress"),
    "AWS::EC2::Route": ("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId"),
    "AWS::EC2::SecurityGroupIngress": (
        *("GroupId", "IpProtocol", "FromPort", "ToPort"),
        *("CidrIp", "CidrIpv6", "SourcePrefixListId", "SourceSecurityGroupId", "SourceSecurityGroupOwnerId"),
    ),
    "AWS::EC2::Subnet": ("VpcId", "CidrBlock"),
    "AWS::EC2::TransitGatewayRouteTableAssociation": ("TransitGatewayAttachmentId",),
    ROTATION_SCHEDULE: ("SecretId",),
}


def _taken_identities(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """New resources whose name or identity an old one has: CloudFormation makes the new one before it deletes the old
    one."""
    for change in comparison.changes:
        name = change.logical_id
        if change.effect.replaces and _same_identity(comparison, change, name):
            message = (
                f"{name} is replaced, by {', '.join(change.causes)}, and the new one would exist beside the old with "
                f"the same {', '.join(_IDENTITY[change.type])}"
            )
            remedy = f"change one of these too, or remove {name} in a release of its own first"
            perhaps = change.effect is Effect.MAY_REPLACE
            yield Hazard(HazardKind.ALREADY_EXISTS, layer, name, message, remedy, acknowledgeable=perhaps)
        elif change.effect is Effect.ADD or change.effect.replaces:
            for old in comparison.changes:
                goes = old.effect in _LEAVING or old.effect.replaces
                if goes and old.type == change.type and old.logical_id != name:
                    yield from _taken_from(layer, comparison, change, old)


def _taken_from(layer: str, comparison: Comparison, change: Change, old: Change) -> Iterator[Hazard]:
    if change.type == ROTATION_SCHEDULE:
        if old.effect is Effect.REMOVE and _same_identity(comparison, change, old.logical_id):
            yield _rotation_off(layer, change.logical_id, old.logical_id)
        return
    if change.named and change.named == custom_name(comparison.before.resources[old.logical_id], comparison.region):
        kind, what = HazardKind.CUSTOM_NAME, f"the name {change.named}"
    elif _same_identity(comparison, change, old.logical_id):
        kind, what = HazardKind.ALREADY_EXISTS, f"its {', '.join(_IDENTITY[change.type])}"
    else:
        return
    message = (
        f"{change.logical_id} takes {what} from {old.logical_id}: CloudFormation makes the new resource before it "
        "deletes the old"
    )
    remedy = f"keep the logical id {old.logical_id}"
    if old.effect.replaces:
        taken = (
            _identity(change.type, comparison.after.resources[change.logical_id]) if change.type in _IDENTITY else ()
        )
        given = [name for name, value in comparison.values if value and as_text(value) in taken]
        remedy = f"leave the value of {', '.join(given) or change.logical_id} where it was"
    remedy += f", or remove {old.logical_id} in a release of its own first"
    perhaps = Effect.MAY_REPLACE in (change.effect, old.effect)
    yield Hazard(kind, layer, change.logical_id, message, remedy, acknowledgeable=perhaps)


_ROUTED = ("AWS::EC2::TransitGatewayRouteTableAssociation", "AWS::EC2::TransitGatewayRouteTablePropagation")


def _moved_routes(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """Attachments that go to another route table, or tell it their ranges: both ends must follow."""
    for change in comparison.changes:
        causes = [cause for cause in change.causes if _path(cause) == "TransitGatewayRouteTableId"]
        if change.type in _ROUTED and change.effect.replaces and causes:
            message = (
                f"{change.logical_id} goes to another route table, by {', '.join(causes)}: nothing passes between the "
                "phase and on-premises until both use the new one"
            )
            remedy = f"leave the table as it is, or acknowledge {layer}/{change.logical_id}"
            yield Hazard(HazardKind.ROUTES, layer, change.logical_id, message, remedy, acknowledgeable=True)


def _lost_boundaries(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """Roles that an update would free of their boundary, as a rollback to a release from before it does."""
    for name, old in comparison.before.resources.items():
        new = comparison.after.resources.get(name, {})
        boundary = old.get("Properties", {}).get("PermissionsBoundary")
        is_kept = old["Type"] != "AWS::IAM::Role" or "PermissionsBoundary" in new.get("Properties", {})
        if boundary and new.get("Type") == old["Type"] and not is_kept:
            message = f"{name} loses its boundary {boundary}: an execution role that demands one may not take it off"
            remedy = f"leave PermissionsBoundary as it is, or acknowledge {layer}/{name}"
            yield Hazard(HazardKind.BOUNDARY, layer, name, message, remedy, acknowledgeable=True)


def _rotation_off(layer: str, new: str, old: str) -> Hazard:
    """Nothing refuses this: the clean-up deletes the old schedule behind the new one, and with it the secret's
    rotation (cloudformation-coverage-roadmap#1813)."""
    message = (
        f"{old} is removed and {new} added for the same secret: CloudFormation deletes {old} last, and the secret is "
        f"not rotated any more, although {new} stands"
    )
    remedy = f"keep the logical id {old}, or remove {old} in a release of its own first, or acknowledge {layer}/{new}"
    return Hazard(HazardKind.ROTATION_OFF, layer, new, message, remedy, acknowledgeable=True)


def _same_identity(comparison: Comparison, change: Change, old: str) -> bool:
    if change.type not in _IDENTITY:
        return False
    before = _identity(change.type, comparison.before.resources[old])
    after = _identity(change.type, comparison.after.resources[change.logical_id])
    # With a resource that is replaced too, such as a new VPC, it is another identity.
    replaced = {each.logical_id for each in comparison.changes if each.effect is Effect.REPLACE}
    return before == after and not any(each.logical_id in replaced for each in references(list(after)))


def _identity(type_name: str, body: Resource) -> tuple[str, ...]:
    properties = body.get("Properties", {})
    return tuple(as_text(properties.get(name, "")) for name in _IDENTITY[type_name])


def _exports_in_use(layer: str, comparison: Comparison, neighbours: Mapping[str, Imports]) -> Iterator[Hazard]:
    """Changed exports that other layers of the account and region import."""
    for export in changed_exports(comparison):
        users = sorted(name for name, imports in neighbours.items() if export.name in imports.before)
        if not users:
            continue
        staying = [name for name in users if export.name in neighbours[name].after]
        if staying:
            remedy = f"two releases: first one that drops the import from {', '.join(staying)}, then this one"
        else:
            remedy = f"deploy {', '.join(users)} first: this release drops the import"
        verb = "is" if export.certain else "may be"
        yield Hazard(
            HazardKind.EXPORT_IN_USE,
            layer,
            export.name,
            f"export {export.name} {verb} {export.reason}; imported by {', '.join(users)}: CloudFormation refuses",
            remedy,
            # What may come out the same may be tried: where it does not, CloudFormation rolls the update back.
            acknowledgeable=not export.certain,
            needs_order=() if staying else tuple(users),
        )


_REPLICATING = ("AWS::DMS::Endpoint", "AWS::DMS::ReplicationInstance", "AWS::DMS::ReplicationTask")


def _running_task(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """Changes of a replication task that runs, or of what it uses.

    A running task must be stopped before it, its instance or its endpoints are modified (DMS user guide, "Modifying a
    task"; terraform-provider-aws#2236).
    """
    phase = dict(comparison.values).get(naming.MIGRATION_PHASE, "PHASE")
    for change in comparison.changes:
        if change.type not in _REPLICATING or change.effect in (Effect.ADD, Effect.RETAIN):
            continue
        # Attributes do not reach DMS, and it takes new tags of all but the task itself.
        harmless = ATTRIBUTES if change.type == "AWS::DMS::ReplicationTask" else {*ATTRIBUTES, "Tags"}
        if change.effect is Effect.MODIFY and harmless.issuperset(change.causes):
            continue
        remedy = f"migrate-database stop --phase {phase}, apply"
        if change.effect is not Effect.REMOVE:
            # A task that was replaced, or whose instance or endpoints were, is another one: it has nothing to resume.
            action = "resume" if change.effect is Effect.MODIFY else "start"
            remedy += f", then migrate-database {action} --phase {phase}"
        message = f"{_what(change)} while the replication task runs{_because(change)}: DMS refuses or breaks off"
        yield Hazard(HazardKind.RUNNING_TASK, layer, change.logical_id, message, remedy, acknowledgeable=False)
