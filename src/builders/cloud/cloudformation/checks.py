"""Checks in front of every resource handler: the registry's schema, ids that must name something, and what the service
itself refuses.

CloudFormation reports a violation of the schema as `#/path: what is wrong`, one line each (seen in stack events of
registry types).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cfnlint.jsonschema import ValidationError
from ministack.core.responses import get_region

from builders import database_instances, resource_ids, resource_types, service_limits
from builders.cloud import cloudwatch, events, kms, lambda_, s3
from builders.cloud.cloudformation import attributes, records
from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.dms import faults as dms
from builders.cloud.ec2 import checks as ec2, transit_gateways
from builders.cloud.iam import authorization, checks as iam
from builders.cloud.internals import cloudformation, cloudwatch as cloudwatch_internals, sns, sqs, ssm
from builders.cloud.rds import checks as rds, parameter_groups
from builders.cloud.server import faults
from builders.resource_types import Json, ResourceType

Properties = Mapping[str, Json]

Check = Callable[[Properties, str | None], None]
"""Takes the properties and the physical id (None: about to be made). Raises ValueError with the service's sentence."""

_CHECKS: Mapping[str, Check] = {
    "AWS::CloudWatch::Alarm": cloudwatch.check_alarm,
    "AWS::DMS::Endpoint": dms.check_endpoint,
    "AWS::DMS::ReplicationSubnetGroup": dms.check_subnet_group,
    "AWS::DirectConnect::DirectConnectGateway": transit_gateways.check_asn,
    "AWS::DirectConnect::DirectConnectGatewayAssociation": transit_gateways.check_joined,
    "AWS::DirectConnect::PrivateVirtualInterface": transit_gateways.check_session,
    "AWS::DirectConnect::TransitVirtualInterface": transit_gateways.check_session,
    "AWS::DMS::ReplicationTask": dms.check_task,
    "AWS::EC2::Instance": iam.check_profile_of_instance,
    "AWS::EC2::SecurityGroup": ec2.check_security_group,
    "AWS::EC2::SecurityGroupEgress": ec2.check_rule,
    "AWS::EC2::SecurityGroupIngress": ec2.check_rule,
    "AWS::EC2::Subnet": ec2.check_subnet,
    "AWS::EC2::TransitGateway": transit_gateways.check_asn,
    "AWS::EC2::TransitGatewayRouteTableAssociation": transit_gateways.check_association,
    "AWS::EC2::TransitGatewayRouteTablePropagation": transit_gateways.check_propagation,
    "AWS::EC2::VPC": ec2.check_vpc,
    "AWS::EC2::VPCEndpoint": ec2.check_endpoint,
    "AWS::EC2::VPNGateway": transit_gateways.check_asn,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ec2.check_load_balancer,
    "AWS::Events::Rule": events.check_rule,
    "AWS::IAM::Group": iam.check_identity,
    "AWS::IAM::InstanceProfile": iam.check_instance_profile,
    "AWS::IAM::ManagedPolicy": iam.check_policy,
    "AWS::IAM::Policy": iam.check_policy,
    "AWS::IAM::Role": iam.check_role,
    "AWS::IAM::User": iam.check_identity,
    "AWS::KMS::Key": kms.check_key,
    "AWS::Lambda::EventSourceMapping": lambda_.check_event_source,
    "AWS::Lambda::Function": lambda_.check_function,
    "AWS::Lambda::Permission": lambda_.check_permission,
    "AWS::Logs::LogGroup": cloudwatch.check_log_group,
    "AWS::Logs::SubscriptionFilter": cloudwatch.check_subscription_filter,
    "AWS::RDS::DBCluster": rds.check_cluster,
    "AWS::RDS::DBParameterGroup": parameter_groups.check,
    "AWS::RDS::DBSubnetGroup": rds.check_subnet_group,
    "AWS::S3::Bucket": s3.check_bucket,
    "AWS::S3::BucketPolicy": s3.check_policy,
    "AWS::SNS::Subscription": events.check_subscription,
    "AWS::SNS::Topic": events.check_topic,
    "AWS::SQS::Queue": events.check_queue,
    "AWS::Scheduler::Schedule": events.check_schedule,
}

_DELETIONS: Mapping[str, Callable[[str, Properties], None]] = {
    "AWS::IAM::ManagedPolicy": iam.check_policy_deletion,
    "AWS::IAM::Role": iam.check_role_deletion,
    "AWS::RDS::DBParameterGroup": parameter_groups.check_parameter_group_deletion,
    "AWS::RDS::DBSubnetGroup": parameter_groups.check_subnet_group_deletion,
    "AWS::S3::Bucket": s3.check_deletion,
}
"""Functions of the physical id and the properties, which raise ValueError where the service refuses the deletion."""

# Types whose handlers look for the name themselves, or whose name another property tells apart.
_NAMED_TWICE = frozenset({"AWS::EC2::SecurityGroup", "AWS::RDS::DBInstance", "AWS::S3::BucketPolicy",
                          "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy", "AWS::SecretsManager::ResourcePolicy",
                          "AWS::SecretsManager::RotationSchedule", "AWS::SecretsManager::Secret",
                          "AWS::SecretsManager::SecretTargetAttachment"})  # fmt: skip

# {type: the names that its service has, whoever made them}
_OUTSIDE: Mapping[str, Callable[[], set[str]]] = {
    "AWS::CloudWatch::Alarm": lambda: set(cloudwatch_internals.alarms),
    "AWS::SNS::Topic": lambda: {arn.rsplit(":", 1)[-1] for arn in sns.topics},
    "AWS::SQS::Queue": lambda: {url.rsplit("/", 1)[-1] for url in sqs.queues},
    "AWS::SSM::Parameter": lambda: set(ssm.parameters),
}


def _stands(resource: Mapping[str, Json]) -> bool:
    """Return whether a stack still has a resource."""
    return bool(resource.get("PhysicalResourceId")) and resource.get("ResourceStatus") != "DELETE_COMPLETE"


logger = logging.getLogger("checking")


def checked(name: str, inner: Handlers) -> Handlers:
    """Return the handlers of a type with the checks in front of them."""
    handlers = _Checked(name, inner)
    ours = {"create": handlers.create, "update": handlers.update, "delete": handlers.delete}
    wrapped: Handlers = {**inner, **{verb: handler for verb, handler in ours.items() if verb in inner}}
    return {**wrapped, "update_with_logical_id": True} if "update" in inner else wrapped


@dataclass(frozen=True)
class _Checked:
    """The handlers of one type: what the template asks is checked, then `inner` does it."""

    name: str
    inner: Handlers

    @property
    def kind(self) -> ResourceType:
        """The type as the registry of the caller's region has it."""
        found = resource_types.load(self.name, get_region())
        assert found is not None
        return found

    def create(self, logical_id: str, properties: Properties, stack: str) -> Made:
        faults.delay_resource()
        authorization.check_deployment(self.name, "create", logical_id, (logical_id, properties))
        typed = self._check(logical_id, properties, None)
        check_name_is_free(self.kind, logical_id, typed, stack)
        return self._finished(self._call("create", logical_id, typed, stack), typed, logical_id, stack)

    def update(self, physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        authorization.check_deployment(self.name, "update", physical_id, (physical_id, old, new))
        typed = self._check(logical_id, new, physical_id)
        before = self.kind.coerce(dict(old))
        # How a service takes back what it would not change is not documented: it does here.
        if "ROLLBACK" not in (cloudformation.stacks.get(stack) or {}).get("StackStatus", ""):
            for _, sentence in service_limits.change_refusals(self.name, before, typed):
                raise ValueError(f"{sentence} (Service: {self.name.split('::')[1]}, Status Code: 400)")
        more = [logical_id] if self.inner.get("update_with_logical_id") else []
        return self._finished(self._call("update", physical_id, before, typed, stack, *more), typed, logical_id, stack)

    def delete(self, physical_id: str, properties: Properties, *more: Any) -> None:
        authorization.check_deployment(self.name, "delete", physical_id, (physical_id, properties))
        if self.name in _DELETIONS:
            _DELETIONS[self.name](physical_id, properties)
        self.inner["delete"](physical_id, properties, *more)

    def _check(self, logical_id: str, properties: Properties, physical_id: str | None) -> dict[str, Json]:
        typed = _check_properties(self.kind, logical_id, properties)
        ec2.check_ids(self.name, typed)
        for name, arn, pattern in resource_ids.wrong_arns(self.name, typed):
            raise ValueError(service_limits.invalid(name, arn, f"satisfy regular expression pattern: {pattern}"))
        if self.name in _CHECKS:
            _CHECKS[self.name](typed, physical_id)
        checks = service_limits.OURS.get(self.name, ())
        for _, sentence in database_instances.refusals(typed, checks, is_new=physical_id is None):
            raise ValueError(f"{sentence} (Service: {self.name.split('::')[1]}, Status Code: 400)")
        return typed

    def _call(self, verb: str, *arguments: Any) -> Made:
        """Call a handler; where it fails by a mistake of its own, say so in the stack's events."""
        handler: Callable[..., Made] = self.inner[verb]
        try:
            return handler(*arguments)
        except (AttributeError, KeyError, TypeError) as error:
            logger.exception("the handler of %s failed", self.name)
            raise ValueError(f"the embedded cloud cannot make this {self.name}: {error!r}") from error

    def _finished(self, made: Made, properties: Properties, logical_id: str, stack: str) -> Made:
        physical_id, given = made
        identity = dict.fromkeys(self.kind.identifiers, physical_id) if len(self.kind.identifiers) == 1 else {}
        values = attributes.from_properties(self.kind, properties, identity | (given or {}))
        values = attributes.complete(self.kind, logical_id, stack, properties, values, only_chosen_by_aws=True)
        # Fn::GetAtt gives texts, and CloudFormation writes booleans in lower case.
        return physical_id, {
            path: str(each).lower() if isinstance(each, bool) else each for path, each in values.items()
        }


def check_name_is_free(kind: ResourceType, logical_id: str, properties: Properties, stack: str) -> None:
    """Refuse a name that a resource of the type has already, in a stack or outside. Raises ValueError."""
    name = properties.get(kind.name_property) if kind.name_property else None
    if not isinstance(name, str) or kind.name in _NAMED_TWICE:
        return
    for other, each in list(cloudformation.stacks.items()):
        if each["StackStatus"] == "DELETE_COMPLETE":
            continue
        for other_id, resource in (each.get("_resources") or {}).items():
            if resource.get("ResourceType") != kind.name or (other, other_id) == (stack, logical_id):
                continue
            given = (resource.get("Properties") or {}).get(kind.name_property)
            if given == name and _stands(resource):
                raise ValueError(f"{name} already exists in stack {each['StackId']}")
    if kind.name in _OUTSIDE and name in _OUTSIDE[kind.name]():
        raise ValueError(f"{name} already exists (Service: {kind.name.split('::')[1]}, Status Code: 400)")


def static_violations(
    kind: ResourceType, properties: Properties, unknown: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield what breaks the schema in properties of which some are not known yet: a path below them, and the reason."""

    def passes(error: ValidationError) -> bool:
        whole = not error.path and str(error.validator) != "required"
        return _is_made_up(error) or bool(unknown and whole)

    typed = kind.coerce(_without_system_tags(kind, properties))
    yield from (("", f"extraneous key [{key}] is not permitted") for key in typed if key in kind.read_only)
    for violation in kind.violations(typed, but=passes):
        pointer, _, reason = violation.sentence.partition(": ")
        missing = re.fullmatch(r"required key \[(.+)\] not found", reason)
        if missing is None:
            yield pointer[1:], reason
        elif pointer != "#" or missing[1] not in unknown:
            yield pointer[1:], f"Required property [{missing[1]}] not found"


def _check_properties(kind: ResourceType, logical_id: str, properties: Properties) -> dict[str, Json]:
    """Return the properties as the schema types them. Raises ValueError with CloudFormation's reason."""
    own = _without_system_tags(kind, properties)
    typed: dict[str, Json] = kind.coerce(own)
    # An attribute that was made up here has no form that the property that takes it could ask for.
    violations = [violation.sentence for violation in kind.violations(typed, but=_is_made_up)]
    violations += [f"#: extraneous key [{key}] is not permitted" for key in own if key in kind.read_only]
    if violations:
        raise ValueError(
            f"Properties validation failed for resource {logical_id} with message:\n" + "\n".join(violations)
        )
    result = dict(properties) | typed
    tags = _tag_property(kind)
    if tags in properties:
        result[tags] = kind.coerce(properties[tags], kind.definition(tags))
    return result


def _is_made_up(error: ValidationError) -> bool:
    """Return whether it is the form of an attribute of one of our records that a schema refuses."""
    of_form = str(error.validator) in ("pattern", "minLength", "maxLength", "format")
    return of_form and isinstance(error.instance, str) and records.made_up(error.instance)


def _tag_property(kind: ResourceType) -> str:
    pointer: str = (kind.schema.get("tagging") or {}).get("tagProperty") or "/properties/Tags"
    return pointer.removeprefix("/properties/")


def _without_system_tags(kind: ResourceType, properties: Properties) -> dict[str, Json]:
    """Return the properties without the `aws:` tags that CloudFormation itself adds: schemas forbid them."""
    name = _tag_property(kind)
    tags = properties.get(name)
    if isinstance(tags, list):
        tags = [tag for tag in tags if not str(tag.get("Key", "") if isinstance(tag, dict) else "").startswith("aws:")]
    elif isinstance(tags, dict):
        tags = {key: value for key, value in tags.items() if not key.startswith("aws:")}
    else:
        return dict(properties)
    result = {**properties, name: tags}
    if not tags:
        del result[name]
    return result
