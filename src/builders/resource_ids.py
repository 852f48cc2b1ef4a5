"""Kinds of AWS's identifiers: which resource gives one, which property takes one, and how those of EC2 begin.

A route's TransitGatewayId takes the id of a transit gateway and not that of its attachment; CloudFormation does not
look, and the service answers that there is no such thing. Lint rules judge references by this table, the embedded cloud
judges ids. Sources: CloudFormation template reference, "Return values" and properties of each type; EC2 user guide,
"Resource IDs".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Taking:
    """Properties that take identifiers: by name, of the types that begin so, and the kinds that they take."""

    types: tuple[str, ...]
    properties: frozenset[str]
    kinds: tuple[str, ...]


_NAMES: Mapping[str, str] = {
    "vpc": "a VPC's id",
    "subnet": "a subnet's id",
    "sg": "a security group's id",
    "rtb": "a route table's id",
    "acl": "a network ACL's id",
    "igw": "an internet gateway's id",
    "eigw": "an egress-only internet gateway's id",
    "nat": "a NAT gateway's id",
    "vgw": "a virtual private gateway's id",
    "cgw": "a customer gateway's id",
    "vpn": "a VPN connection's id",
    "tgw": "a transit gateway's id",
    "tgw-attach": "a transit gateway attachment's id",
    "tgw-rtb": "a transit gateway route table's id",
    "dx-gateway": "a Direct Connect gateway's id",
    "dxcon": "a Direct Connect connection's id",
    "dxlag": "a link aggregation group's id",
    "eni": "a network interface's id",
    "i": "an instance's id",
    "eipalloc": "the allocation id of an Elastic IP address",
    "public-ip": "a public IP address",
    "pl": "a prefix list's id",
    "vpce": "a VPC endpoint's id",
    "pcx": "a peering connection's id",
    "vol": "a volume's id",
    "dopt": "a set of DHCP options' id",
    "topic-arn": "a topic's ARN",
    "topic-name": "a topic's name",
    "subscription-arn": "a subscription's ARN",
    "queue-arn": "a queue's ARN",
    "queue-url": "a queue's URL",
    "queue-name": "a queue's name",
    "function-arn": "a function's ARN",
    "function-name": "a function's name",
    "secret-arn": "a secret's ARN",
    "log-group-name": "a log group's name",
    "log-group-arn": "a log group's ARN",
    "bucket-name": "a bucket's name",
    "bucket-arn": "a bucket's ARN",
    "table-name": "a table's name",
    "table-arn": "a table's ARN",
    "table-stream-arn": "the ARN of a table's stream",
    "stream-name": "a stream's name",
    "stream-arn": "a stream's ARN",
    "load-balancer-arn": "a load balancer's ARN",
    "target-group-arn": "a target group's ARN",
    "listener-arn": "a listener's ARN",
    "dms-endpoint-arn": "a DMS endpoint's ARN",
    "dms-instance-arn": "a replication instance's ARN",
    "dms-task-arn": "a replication task's ARN",
    "dms-certificate-arn": "a DMS certificate's ARN",
    "dms-subnet-group": "a replication subnet group's name",
    "db-instance": "a DB instance's identifier",
    "db-cluster": "a DB cluster's identifier",
    "db-subnet-group": "a DB subnet group's name",
    "db-parameter-group": "a DB parameter group's name",
    "db-cluster-parameter-group": "a DB cluster parameter group's name",
    "db-option-group": "an option group's name",
    "alarm-name": "an alarm's name",
    "alarm-arn": "an alarm's ARN",
    "role-name": "a role's name",
    "role-arn": "a role's ARN",
    "user-name": "a user's name",
    "user-arn": "a user's ARN",
    "group-name": "a group's name",
    "group-arn": "a group's ARN",
    "profile-name": "an instance profile's name",
    "profile-arn": "an instance profile's ARN",
    "managed-policy-arn": "a managed policy's ARN",
    "inline-policy": "the name of an inline policy",
    "key-alias": "a key's alias",
    "key-id": "a key's id",
    "key-arn": "a key's ARN",
}

_GIVES: Mapping[str, Mapping[str | None, str]] = {
    "AWS::CloudWatch::Alarm": {None: "alarm-name", "Arn": "alarm-arn"},
    "AWS::DMS::Certificate": {None: "dms-certificate-arn", "CertificateArn": "dms-certificate-arn"},
    "AWS::DMS::Endpoint": {None: "dms-endpoint-arn", "EndpointArn": "dms-endpoint-arn"},
    "AWS::DMS::ReplicationInstance": {None: "dms-instance-arn"},
    "AWS::DMS::ReplicationSubnetGroup": {None: "dms-subnet-group"},
    "AWS::DMS::ReplicationTask": {None: "dms-task-arn", "ReplicationTaskArn": "dms-task-arn"},
    # What takes one of these by its id takes its ARN, too.
    "AWS::DirectConnect::Connection": {None: "dxcon", "ConnectionId": "dxcon"},
    "AWS::DirectConnect::DirectConnectGateway": {None: "dx-gateway", "DirectConnectGatewayId": "dx-gateway"},
    "AWS::DirectConnect::Lag": {None: "dxlag", "LagId": "dxlag"},
    "AWS::DynamoDB::Table": {None: "table-name", "Arn": "table-arn", "StreamArn": "table-stream-arn"},
    "AWS::EC2::CustomerGateway": {None: "cgw", "CustomerGatewayId": "cgw"},
    "AWS::EC2::DHCPOptions": {None: "dopt", "DhcpOptionsId": "dopt"},
    "AWS::EC2::EIP": {None: "public-ip", "PublicIp": "public-ip", "AllocationId": "eipalloc"},
    "AWS::EC2::EgressOnlyInternetGateway": {None: "eigw", "Id": "eigw"},
    "AWS::EC2::Instance": {None: "i", "InstanceId": "i", "PublicIp": "public-ip"},
    "AWS::EC2::InternetGateway": {None: "igw", "InternetGatewayId": "igw"},
    "AWS::EC2::NatGateway": {None: "nat", "NatGatewayId": "nat"},
    "AWS::EC2::NetworkAcl": {None: "acl", "Id": "acl"},
    "AWS::EC2::NetworkInterface": {None: "eni", "Id": "eni"},
    "AWS::EC2::PrefixList": {None: "pl", "PrefixListId": "pl"},
    "AWS::EC2::RouteTable": {None: "rtb", "RouteTableId": "rtb"},
    "AWS::EC2::SecurityGroup": {"GroupId": "sg", "Id": "sg"},
    "AWS::EC2::Subnet": {None: "subnet", "SubnetId": "subnet"},
    "AWS::EC2::TransitGateway": {None: "tgw", "Id": "tgw"},
    "AWS::EC2::TransitGatewayAttachment": {None: "tgw-attach", "Id": "tgw-attach"},
    "AWS::EC2::TransitGatewayConnect": {None: "tgw-attach", "TransitGatewayAttachmentId": "tgw-attach"},
    "AWS::EC2::TransitGatewayPeeringAttachment": {None: "tgw-attach", "TransitGatewayAttachmentId": "tgw-attach"},
    "AWS::EC2::TransitGatewayRouteTable": {None: "tgw-rtb", "TransitGatewayRouteTableId": "tgw-rtb"},
    "AWS::EC2::TransitGatewayVpcAttachment": {None: "tgw-attach", "Id": "tgw-attach"},
    "AWS::EC2::VPC": {None: "vpc", "VpcId": "vpc", "DefaultNetworkAcl": "acl", "DefaultSecurityGroup": "sg"},
    "AWS::EC2::VPCEndpoint": {None: "vpce", "Id": "vpce"},
    "AWS::EC2::VPCPeeringConnection": {None: "pcx", "Id": "pcx"},
    "AWS::EC2::VPNConnection": {None: "vpn", "VpnConnectionId": "vpn"},
    "AWS::EC2::VPNGateway": {None: "vgw", "VPNGatewayId": "vgw"},
    "AWS::EC2::Volume": {None: "vol", "VolumeId": "vol"},
    "AWS::ElasticLoadBalancingV2::Listener": {None: "listener-arn", "ListenerArn": "listener-arn"},
    "AWS::ElasticLoadBalancingV2::LoadBalancer": {None: "load-balancer-arn", "LoadBalancerArn": "load-balancer-arn"},
    "AWS::ElasticLoadBalancingV2::TargetGroup": {None: "target-group-arn", "TargetGroupArn": "target-group-arn"},
    "AWS::IAM::Group": {None: "group-name", "Arn": "group-arn"},
    "AWS::IAM::InstanceProfile": {None: "profile-name", "Arn": "profile-arn"},
    "AWS::IAM::ManagedPolicy": {None: "managed-policy-arn", "PolicyArn": "managed-policy-arn"},
    "AWS::IAM::Policy": {None: "inline-policy"},
    "AWS::IAM::Role": {None: "role-name", "Arn": "role-arn"},
    "AWS::IAM::User": {None: "user-name", "Arn": "user-arn"},
    "AWS::KMS::Alias": {None: "key-alias", "AliasName": "key-alias"},
    "AWS::KMS::Key": {None: "key-id", "Arn": "key-arn"},
    "AWS::Kinesis::Stream": {None: "stream-name", "Arn": "stream-arn"},
    "AWS::Lambda::Alias": {None: "function-arn", "AliasArn": "function-arn"},
    "AWS::Lambda::Function": {None: "function-name", "Arn": "function-arn"},
    "AWS::Lambda::Version": {None: "function-arn", "FunctionArn": "function-arn"},
    "AWS::Logs::LogGroup": {None: "log-group-name", "Arn": "log-group-arn"},
    "AWS::RDS::DBCluster": {None: "db-cluster"},
    "AWS::RDS::DBClusterParameterGroup": {None: "db-cluster-parameter-group"},
    "AWS::RDS::DBInstance": {None: "db-instance"},
    "AWS::RDS::DBParameterGroup": {None: "db-parameter-group", "DBParameterGroupName": "db-parameter-group"},
    "AWS::RDS::DBSubnetGroup": {None: "db-subnet-group"},
    "AWS::RDS::OptionGroup": {None: "db-option-group"},
    "AWS::S3::Bucket": {None: "bucket-name", "Arn": "bucket-arn"},
    "AWS::SNS::Subscription": {None: "subscription-arn", "Arn": "subscription-arn"},
    "AWS::SNS::Topic": {None: "topic-arn", "TopicArn": "topic-arn", "TopicName": "topic-name"},
    "AWS::SQS::Queue": {None: "queue-url", "QueueUrl": "queue-url", "Arn": "queue-arn", "QueueName": "queue-name"},
    "AWS::SecretsManager::RotationSchedule": {None: "secret-arn", "Id": "secret-arn"},
    "AWS::SecretsManager::Secret": {None: "secret-arn", "Id": "secret-arn"},
    "AWS::SecretsManager::SecretTargetAttachment": {None: "secret-arn", "Id": "secret-arn"},
}
"""{type: {attribute, or None for Ref: kind}}; of everything else nobody here knows what it gives."""


def _taking(types: str, properties: str, *kinds: str) -> Taking:
    return Taking(tuple(types.split()), frozenset(properties.split()), kinds)


_EC2, _RDS, _IAM = "AWS::EC2::", "AWS::RDS::", "AWS::IAM::"
_TAKES: tuple[Taking, ...] = (
    _taking("AWS::", "VpcId VpcIds", "vpc"),
    _taking("AWS::", "SubnetId SubnetIds VpcSubnetIds", "subnet"),
    _taking(
        "AWS::",
        "SecurityGroupId SecurityGroupIds SecurityGroups SourceSecurityGroupId VPCSecurityGroups VpcSecurityGroupIds"
        " VpcSecurityGroups",
        "sg",
    ),
    _taking(
        "AWS::",
        "EncryptionKeyArn KMSKeyArn KMSKeyId KMSMasterKeyID KmsKey KmsKeyArn KmsKeyId KmsKeyIdentifier KmsMasterKeyId"
        " PerformanceInsightsKMSKeyId",
        *("key-arn", "key-id", "key-alias"),
    ),
    _taking("AWS::Lambda::Function", "Role", "role-arn"),
    # ECS takes a role's name, too (ECS API reference, RegisterTaskDefinition).
    _taking("AWS::ECS::", "ExecutionRoleArn RoleArn TaskRoleArn", "role-arn", "role-name"),
    _taking(
        "AWS::",
        "AccessRoleArn CloudWatchLogsRoleArn CloudWatchRoleArn DataAccessRoleArn DeliverLogsPermissionArn"
        " ExecutionRoleArn IamRoleArn InvocationRoleArn JobRoleArn LogRoleArn MonitoringRoleArn RoleARN RoleArn"
        " SecretsManagerAccessRoleArn ServiceAccessRoleArn ServiceRoleArn TaskRoleArn",
        "role-arn",
    ),
    _taking("AWS::", "NotificationTopicArn SNSTopicArn SnsTopicARN SnsTopicArn TopicARN TopicArn", "topic-arn"),
    _taking("AWS::", "BucketARN BucketArn S3BucketArn", "bucket-arn"),
    _taking("AWS::", "FunctionArn LambdaArn LambdaFunctionArn RotationLambdaARN", "function-arn"),
    _taking("AWS::", "CloudWatchLogsLogGroupArn LogGroupArn", "log-group-arn"),
    _taking("AWS::", "SecretArn SecretARN", "secret-arn"),
    _taking(_EC2, "TransitGatewayId PeerTransitGatewayId", "tgw"),
    _taking(_EC2, "TransitGatewayAttachmentId TransportTransitGatewayAttachmentId", "tgw-attach"),
    _taking(_EC2, "TransitGatewayRouteTableId", "tgw-rtb"),
    _taking(_EC2, "RouteTableId RouteTableIds", "rtb"),
    _taking(_EC2, "NetworkAclId", "acl"),
    _taking("AWS::EC2::Route AWS::EC2::GatewayRouteTableAssociation", "GatewayId", "igw", "vgw", "vpce"),
    _taking(_EC2, "NatGatewayId", "nat"),
    _taking(_EC2, "InternetGatewayId", "igw"),
    _taking(_EC2, "EgressOnlyInternetGatewayId", "eigw"),
    _taking(_EC2, "VpnGatewayId", "vgw"),
    _taking(_EC2, "CustomerGatewayId", "cgw"),
    _taking(_EC2, "VpnConnectionId", "vpn"),
    _taking(_EC2, "VpcPeeringConnectionId", "pcx"),
    _taking(_EC2, "NetworkInterfaceId", "eni"),
    _taking(_EC2, "AllocationId SecondaryAllocationIds", "eipalloc"),
    _taking("AWS::EC2::EIPAssociation", "EIP", "public-ip"),
    _taking(
        "AWS::EC2::Route AWS::EC2::EIP AWS::EC2::EIPAssociation AWS::EC2::VolumeAttachment"
        " AWS::EC2::NetworkInterfaceAttachment",
        "InstanceId",
        "i",
    ),
    _taking("AWS::EC2::VolumeAttachment", "VolumeId", "vol"),
    _taking(_EC2, "DhcpOptionsId", "dopt"),
    _taking(_EC2, "DestinationPrefixListId SourcePrefixListId PrefixListId", "pl"),
    _taking("AWS::DirectConnect::", "AssociatedGatewayId", "tgw", "vgw"),
    _taking("AWS::DirectConnect::", "DirectConnectGatewayId", "dx-gateway"),
    _taking("AWS::DirectConnect::", "VirtualGatewayId", "vgw"),
    _taking("AWS::DirectConnect::", "ConnectionId", "dxcon", "dxlag"),
    _taking("AWS::DirectConnect::", "LagId", "dxlag"),
    _taking("AWS::DMS::", "ReplicationInstanceArn", "dms-instance-arn"),
    _taking("AWS::DMS::", "SourceEndpointArn TargetEndpointArn", "dms-endpoint-arn"),
    _taking("AWS::DMS::Endpoint", "CertificateArn", "dms-certificate-arn"),
    _taking("AWS::DMS::", "ReplicationSubnetGroupIdentifier", "dms-subnet-group"),
    _taking(_RDS, "DBSubnetGroupName", "db-subnet-group"),
    _taking(_RDS, "DBParameterGroupName DBInstanceParameterGroupName", "db-parameter-group"),
    _taking(_RDS, "DBClusterParameterGroupName", "db-cluster-parameter-group"),
    _taking(_RDS, "OptionGroupName", "db-option-group"),
    _taking("AWS::RDS::DBInstance", "DBClusterIdentifier", "db-cluster"),
    _taking("AWS::SecretsManager::", "SecretId", "secret-arn"),
    _taking("AWS::DMS::", "SecretsManagerSecretId", "secret-arn"),
    _taking("AWS::SecretsManager::SecretTargetAttachment", "TargetId", "db-instance", "db-cluster"),
    _taking(
        "AWS::Lambda::EventSourceMapping",
        "EventSourceArn",
        *("queue-arn", "stream-arn", "table-stream-arn"),
    ),
    _taking("AWS::Logs::SubscriptionFilter", "DestinationArn", "function-arn", "stream-arn"),
    _taking("AWS::ElasticLoadBalancingV2::Listener", "LoadBalancerArn", "load-balancer-arn"),
    _taking("AWS::ElasticLoadBalancingV2::", "TargetGroupArn", "target-group-arn"),
    _taking("AWS::ElasticLoadBalancingV2::ListenerRule", "ListenerArn", "listener-arn"),
    _taking("AWS::AutoScaling::AutoScalingGroup", "TargetGroupARNs", "target-group-arn"),
    _taking("AWS::ECS::Service", "TargetGroupArn", "target-group-arn"),
    _taking("AWS::IAM::InstanceProfile AWS::IAM::Policy AWS::IAM::ManagedPolicy", "Roles", "role-name"),
    _taking("AWS::IAM::Policy AWS::IAM::ManagedPolicy AWS::IAM::UserToGroupAddition", "Users", "user-name"),
    _taking("AWS::IAM::Policy AWS::IAM::ManagedPolicy AWS::IAM::User", "Groups", "group-name"),
    _taking(_IAM, "ManagedPolicyArns", "managed-policy-arn"),
)

_ID = re.compile(r"([a-z]+(?:-[a-z]+)*)-[0-9a-f]{8,17}")
_BY_NAME: Mapping[str, tuple[Taking, ...]] = {
    name: tuple(each for each in _TAKES if name in each.properties) for taking in _TAKES for name in taking.properties
}


_TYPED = re.compile(r"(?:List<)?AWS::EC2::(VPC|Subnet|SecurityGroup|Instance|Volume)::Id>?")
_OF_PARAMETERS = {"VPC": "vpc", "Subnet": "subnet", "SecurityGroup": "sg", "Instance": "i", "Volume": "vol"}


def given_by_parameter(parameter_type: str) -> str | None:
    """Return the kind of identifier that a parameter of a type of AWS's holds; None for any other type."""
    match = _TYPED.fullmatch(parameter_type)
    return _OF_PARAMETERS[match[1]] if match else None


def given_by(resource_type: str, attribute: str | None) -> str | None:
    """Return the kind of identifier that Ref (no attribute) or Fn::GetAtt of a resource gives; None where unknown."""
    return _GIVES.get(resource_type, {}).get(attribute)


def taken_by(resource_type: str, name: str) -> tuple[str, ...]:
    """Return the kinds that a property of a type takes; empty where unknown."""
    for taking in _BY_NAME.get(name, ()):
        if any(
            resource_type == each or (each.endswith("::") and resource_type.startswith(each)) for each in taking.types
        ):
            return taking.kinds
    return ()


def attribute_that_gives(resource_type: str, kinds: tuple[str, ...]) -> str | None:
    """Return how a template refers to a resource to get one of the kinds: "Ref" or an attribute; None for no way."""
    return next((name or "Ref" for name, kind in _GIVES.get(resource_type, {}).items() if kind in kinds), None)


def described(kind: str) -> str:
    """Return a kind in words."""
    return _NAMES[kind]


def kind_of(identifier: str) -> str | None:
    """Return the kind that an id of EC2 says of itself by its prefix; None for any other text."""
    match = _ID.fullmatch(identifier)
    return match[1] if match and match[1] in _NAMES else None


_KEY = r"arn:[^:]+:kms:[^:]+:\d{12}:(key|alias)/.+"
_ARNS: Mapping[str, str] = {
    "bucket-arn": r"arn:[^:]+:s3[a-z-]*:.+",
    "function-arn": r"arn:[^:]+:lambda:[^:]+:\d{12}:function:.+",
    "key-alias": _KEY,
    "key-arn": _KEY,
    "key-id": _KEY,
    "log-group-arn": r"arn:[^:]+:logs:[^:]+:\d{12}:log-group:.+",
    "role-arn": r"arn:[^:]+:iam::(\d{12}|aws):role/.+",
    "role-name": r"arn:[^:]+:iam::(\d{12}|aws):role/.+",
    "secret-arn": r"arn:[^:]+:(secretsmanager|ssm):[^:]+:\d{12}:.+",
    "topic-arn": r"arn:[^:]+:sns:[^:]+:\d{12}:.+",
}
_NEVER_ASKED = ("Variables", "Parameters", "Tags")
"""Maps whose keys are a user's own."""


def named_texts(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text of resolved properties with the name of its property."""
    if isinstance(node, Mapping):
        for member, value in node.items():
            if member not in _NEVER_ASKED:
                yield from named_texts(value, str(member))
    elif isinstance(node, list):
        for item in node:
            yield from named_texts(item, name)
    elif isinstance(node, str):
        yield name, node


def wrong_arns(resource_type: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each ARN of another kind than its property takes, with the property and the pattern that it takes."""
    for name, text in named_texts(properties):
        taken = taken_by(resource_type, name) if text.startswith("arn:") else ()
        patterns = sorted({_ARNS[kind] for kind in taken}) if taken and set(taken) <= _ARNS.keys() else []
        if patterns and not any(re.fullmatch(pattern, text) for pattern in patterns):
            yield name, text, "|".join(patterns)
