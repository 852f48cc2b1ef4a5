"""E9041: a resource that may be made before what it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from builders import naming
from builders.rules._functions import Reference, reference_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template, walk
from builders.rules._values import ABSENT


class Need(NamedTuple):
    """A resource that must exist before another one, and why."""

    later: Resource
    earlier: Resource
    why: str


class MissingOrder(Rule):
    """Reports a resource that needs another one of the template without referring to it, and lacks DependsOn: a route
    over a gateway that is not attached yet, the propagation of a VPN gateway's routes, a DMS subnet group without
    `dms-vpc-role`, notifications of a bucket, a trail, an event source or a log subscription without the permission, a
    function in a VPC without its policy, an ECS service without a listener, a deployment without methods, an AWS Config
    rule without a recorder, the host of a secret before its attachment adds it.
    """

    id = "E9041"
    shortdesc = "A missing DependsOn"
    why = "CloudFormation makes both at once; the deploy fails now and then, and passes when it is tried again."
    source = (
        "CloudFormation template reference, 'AWS::EC2::Route', 'AWS::EC2::VPNGatewayRoutePropagation'; CloudFormation "
    )
    source += "user guide, 'DependsOn attribute'"
    bad = """
    Parameters: {Gateway: {Type: String}, Vpc: {Type: "AWS::EC2::VPC::Id"}}
    Resources:
      Attachment:
        Type: AWS::EC2::TransitGatewayVpcAttachment
        Properties: {TransitGatewayId: !Ref Gateway, VpcId: !Ref Vpc, SubnetIds: []}
      Table: {Type: "AWS::EC2::RouteTable", Properties: {VpcId: !Ref Vpc}}
      Route:
        Type: AWS::EC2::Route
        Properties: {RouteTableId: !Ref Table, DestinationCidrBlock: 172.16.0.0/16, TransitGatewayId: !Ref Gateway}
    """
    good = """
    Parameters: {Gateway: {Type: String}, Vpc: {Type: "AWS::EC2::VPC::Id"}}
    Resources:
      Attachment:
        Type: AWS::EC2::TransitGatewayVpcAttachment
        Properties: {TransitGatewayId: !Ref Gateway, VpcId: !Ref Vpc, SubnetIds: []}
      Table: {Type: "AWS::EC2::RouteTable", Properties: {VpcId: !Ref Vpc}}
      Route:
        Type: AWS::EC2::Route
        DependsOn: Attachment
        Properties: {RouteTableId: !Ref Table, DestinationCidrBlock: 172.16.0.0/16, TransitGatewayId: !Ref Gateway}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for need in _needs(template):
            later, earlier = need.later, need.earlier
            if not template.possible(later.scenario, earlier.scenario) or earlier.name in template.upstream(later):
                continue
            if later.name in template.upstream(earlier):
                continue  # the other way round, which no DependsOn can mend
            yield RuleFinding(later.path, f"{later.name} {need.why}: add DependsOn: {earlier.name}")


def _needs(template: Template) -> Iterator[Need]:
    for find in (
        *(_transit_gateways, _gateways, _propagations, _subnet_groups, _notifications, _trails),
        *(
            _secret_fields,
            _event_sources,
            _log_subscriptions,
            _functions_in_a_vpc,
            _services,
            _deployments,
            _config_rules,
        ),
    ):
        yield from find(template)


def _transit_gateways(template: Template) -> Iterator[Need]:
    attachments = template.resources("AWS::EC2::TransitGatewayAttachment", "AWS::EC2::TransitGatewayVpcAttachment")
    for route in template.resources("AWS::EC2::Route"):
        gateways = _nodes(template, route, "TransitGatewayId")
        table = template.target(route.properties.get("RouteTableId"))
        over = [each for each in attachments if gateways & _nodes(template, each, "TransitGatewayId")]
        if table is not None and table.type == "AWS::EC2::RouteTable":
            vpc = _nodes(template, table, "VpcId")
            over = [each for each in over if vpc & _nodes(template, each, "VpcId")]
        if len(over) == 1:
            why = f"leads over a transit gateway before {over[0].name} has attached the VPC"
            yield Need(route, over[0], why)


def _gateways(template: Template) -> Iterator[Need]:
    for route in template.resources("AWS::EC2::Route"):
        for attachment in _attachments_of(template, route, "GatewayId"):
            yield Need(route, attachment, f"leads over a gateway before {attachment.name} has attached it to the VPC")


def _propagations(template: Template) -> Iterator[Need]:
    for propagation in template.resources("AWS::EC2::VPNGatewayRoutePropagation"):
        for attachment in _attachments_of(template, propagation, "VpnGatewayId"):
            why = f"propagates a gateway's routes before {attachment.name} has attached it to the VPC"
            yield Need(propagation, attachment, why)


def _attachments_of(template: Template, resource: Resource, name: str) -> Iterator[Resource]:
    gateways = template.targets(resource, name)
    for attachment in template.resources("AWS::EC2::VPCGatewayAttachment"):
        attached = template.targets(attachment, "InternetGatewayId") | template.targets(attachment, "VpnGatewayId")
        if gateways & attached:
            yield attachment


def _subnet_groups(template: Template) -> Iterator[Need]:
    for role in template.resources("AWS::IAM::Role"):
        if naming.DMS_VPC_ROLE in [value.value for value in template.constants(role, "RoleName")]:
            for group in template.resources("AWS::DMS::ReplicationSubnetGroup"):
                yield Need(
                    group, role, f"is made before the role {naming.DMS_VPC_ROLE} exists, without which DMS refuses"
                )


_DESTINATIONS = (
    ("TopicConfigurations", "Topic", "AWS::SNS::TopicPolicy", "Topics"),
    ("QueueConfigurations", "Queue", "AWS::SQS::QueuePolicy", "Queues"),
    ("LambdaConfigurations", "Function", "AWS::Lambda::Permission", "FunctionName"),
)


def _notifications(template: Template) -> Iterator[Need]:
    for bucket in template.resources("AWS::S3::Bucket"):
        for configurations, key, policy, property_name in _DESTINATIONS:
            told = _targets_below(template, bucket, f"NotificationConfiguration.{configurations}", key)
            for each in template.resources(policy) if told else ():
                granted = template.references(each.properties.get(property_name)) & told
                if granted and "s3.amazonaws.com" in _text(each.properties):
                    yield Need(bucket, each, f"notifies {min(granted)} before {each.name} lets S3 in, and S3 tries it")


def _trails(template: Template) -> Iterator[Need]:
    for trail in template.resources("AWS::CloudTrail::Trail"):
        buckets = template.targets(trail, "S3BucketName")
        for policy in template.resources("AWS::S3::BucketPolicy"):
            if buckets & template.targets(policy, "Bucket") and "cloudtrail.amazonaws.com" in _text(policy.properties):
                yield Need(trail, policy, f"writes to its bucket before {policy.name} lets CloudTrail in")


_ADDED = re.compile(
    r"\{\{resolve:secretsmanager:\0(\w+)\0:SecretString:(host|port|engine|dbInstanceIdentifier|dbClusterIdentifier)\b"
)
"""A dynamic reference to a member that SecretTargetAttachment adds to a secret of the template."""


def _secret_fields(template: Template) -> Iterator[Need]:
    attachments = template.resources("AWS::SecretsManager::SecretTargetAttachment")
    for resource in template.resources() if attachments else ():
        read = set()
        for _, node in walk(resource.properties, ()):
            read |= set(_ADDED.findall(_with_names(template, node)))
        for attachment in attachments:
            secrets = template.targets(attachment, "SecretId")
            for secret, member in sorted(read):
                given = template.resource(secret)
                if secret in secrets and given and member not in _text(given.properties):
                    yield Need(resource, attachment, f"reads {member} of {secret} before {attachment.name} adds it")


def _with_names(template: Template, node: Any) -> str:
    """A text of known pieces, with the names that it refers to between NULs."""
    pieces = template.resolver.pieces(node) if isinstance(node, dict) else []
    names = {piece: f"\0{piece.name}\0" for piece in pieces if isinstance(piece, Reference)}
    return "".join(names.get(piece) or str(piece) for piece in pieces)


_READS = ("sqs:ReceiveMessage", "kinesis:GetRecords", "dynamodb:GetRecords")


def _event_sources(template: Template) -> Iterator[Need]:
    for mapping in template.resources("AWS::Lambda::EventSourceMapping"):
        for name in template.targets(mapping, "FunctionName"):
            function = template.resource(name)
            for policy in _only_policies(template, function, _READS):
                yield Need(mapping, policy, f"reads its source before {policy.name} lets the function's role do so")


def _functions_in_a_vpc(template: Template) -> Iterator[Need]:
    for function in template.resources("AWS::Lambda::Function"):
        if function.properties.get("VpcConfig"):
            for policy in _only_policies(template, function, ("ec2:CreateNetworkInterface",)):
                yield Need(
                    function, policy, f"is made in a VPC before {policy.name} lets its role make network interfaces"
                )


def _only_policies(template: Template, function: Resource | None, actions: tuple[str, ...]) -> Iterator[Resource]:
    """The separate policies of a function's role, where they alone can hold one of the actions."""
    role = template.target(function.properties.get("Role")) if function else None
    if role is None or role.type != "AWS::IAM::Role" or role.properties.keys() & {"ManagedPolicyArns", "Policies"}:
        return
    policies = [
        policy
        for policy in template.resources("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy")
        if role.name in template.references([policy.properties.get("Roles"), policy.properties.get("RoleName")])
    ]
    for policy in policies if len(policies) == 1 else ():
        if any(action in _text(policy.properties) for action in actions):
            yield policy


def _log_subscriptions(template: Template) -> Iterator[Need]:
    for subscription in template.resources("AWS::Logs::SubscriptionFilter"):
        functions = template.targets(subscription, "DestinationArn")
        for permission in template.resources("AWS::Lambda::Permission"):
            granted = functions & template.references(permission.properties.get("FunctionName"))
            if granted and "logs." in _text(permission.properties.get("Principal")):
                yield Need(subscription, permission, f"is tried by CloudWatch Logs before {permission.name} lets it in")


def _services(template: Template) -> Iterator[Need]:
    for service in template.resources("AWS::ECS::Service"):
        groups = _targets_below(template, service, "LoadBalancers", "TargetGroupArn")
        kinds = ("AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule")
        for group in sorted(groups):
            listeners = [each for each in template.resources(*kinds) if group in template.references(each.properties)]
            before = template.upstream(service)
            if listeners and not any(each.name in before for each in listeners):
                yield Need(service, listeners[0], f"joins {group} before {listeners[0].name} gives it a load balancer")


def _deployments(template: Template) -> Iterator[Need]:
    methods = template.resources("AWS::ApiGateway::Method")
    for deployment in template.resources("AWS::ApiGateway::Deployment"):
        apis = template.targets(deployment, "RestApiId")
        bodies = [
            api
            for name in apis
            if (api := template.resource(name)) and api.properties.keys() & {"Body", "BodyS3Location"}
        ]
        own = [method for method in methods if apis & template.targets(method, "RestApiId")]
        if own and not bodies and not {method.name for method in own} & template.upstream(deployment):
            yield Need(deployment, own[0], f"is made before {own[0].name}: an API without methods is refused")


def _config_rules(template: Template) -> Iterator[Need]:
    recorders = template.resources("AWS::Config::ConfigurationRecorder")
    for rule in template.resources("AWS::Config::ConfigRule") if len(recorders) == 1 else ():
        yield Need(rule, recorders[0], f"is made before {recorders[0].name}, without which AWS Config takes no rule")


def _targets_below(template: Template, resource: Resource, listed: str, key: str) -> set[str]:
    """The resources that a property of a list's entries refers to."""
    found = set()
    for value in template.branches(resource, listed):
        for entry in template.items(value):
            found |= {target.name for each in template.child(entry, key) if (target := template.target(each.value))}
    return found


def _nodes(template: Template, resource: Resource, name: str) -> set[str]:
    """The values of a property as texts that can be compared: constants, references and functions alike."""
    given = [value.value for value in template.branches(resource, name) if value.value is not ABSENT]
    return {_text(reference_of(node) or node) for node in given}


def _text(node: Any) -> str:
    return str(node)
