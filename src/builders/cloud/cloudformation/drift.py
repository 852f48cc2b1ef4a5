"""Drift: the properties of resources as their services have them now, so that a change by a service's API is seen.

CloudFormation compares what a template sets explicitly (CloudFormation user guide, "Detect unmanaged configuration
changes to stacks and resources with drift detection"). ministack reads some types; here are those of the layers (of
networks in ec2/drift.py), and all types that are kept as records. A type without a reader is NOT_CHECKED. Policies that
attach themselves to roles are no drift of the roles (same page, "Considerations when detecting drift").

Not compared, though the type is: physical names, passwords, code of functions, the port of a database, lifecycle rules
and tags of some types; docs/embedded-cloud.md lists the types.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from builders import resource_types
from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Properties, Reader, reader_of
from builders.cloud.ec2 import drift as networks
from builders.cloud.internals import (
    cloudformation,
    cloudwatch,
    eventbridge,
    iam,
    kms,
    lambda_,
    logs,
    rds,
    s3,
    secretsmanager,
    sns,
)
from builders.cloud.patches import patch_value
from builders.resource_types import Json


@patch_value(
    "ministack.services.cloudformation.drift._DRIFT_READERS",
    why="drift is detected of some types only, and of few of their properties",
)
class _Readers(dict[str, Any]):
    """Drift's {type: (reader, the properties that it reads)}, with all types that are kept as records."""

    def __init__(self, original: Mapping[str, Reader]) -> None:
        super().__init__(original)
        more = _more()
        self.update(_readers() | {name: _joined(original[name], each) for name, each in more.items()})

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in records.types

    def __missing__(self, name: str) -> Any:
        kind = resource_types.load(name)
        hidden = {pointer.split("/")[2] for pointer in kind.schema.get("writeOnlyProperties") or ()} if kind else set()
        readable = frozenset(kind.schema["properties"]) - hidden if kind else frozenset()
        return lambda physical_id, _properties: _properties_of(name, physical_id), readable


def _properties_of(name: str, physical_id: str) -> dict[str, Json] | None:
    record = records.find(name).get(physical_id)
    return record["Properties"] if record and networks.is_there(name, physical_id) else None


def _joined(first: Reader, second: Reader) -> Reader:
    """Return a reader of what both read of a resource."""

    def read(physical_id: str, properties: Properties) -> Mapping[str, Json] | None:
        found = [each[0](physical_id, properties) for each in (first, second)]
        return None if None in found else {key: value for each in found for key, value in (each or {}).items()}

    return read, first[1] | second[1]


def _readers() -> dict[str, Reader]:
    """Return the readers of types that ministack does not read."""
    return {
        **networks.readers(),
        "AWS::CloudWatch::Alarm": reader_of(
            cloudwatch.alarms.get,
            "ActionsEnabled AlarmActions AlarmDescription ComparisonOperator DatapointsToAlarm Dimensions "
            "EvaluationPeriods ExtendedStatistic InsufficientDataActions MetricName Namespace OKActions Period "
            "Statistic Threshold TreatMissingData Unit",
        ),
        "AWS::IAM::ManagedPolicy": (_policy, frozenset(("Description", "Path", "PolicyDocument", "Roles"))),
        "AWS::KMS::Alias": (_alias, frozenset(("TargetKeyId",))),
        "AWS::KMS::Key": reader_of(
            _key, "Description Enabled KeySpec KeyUsage MultiRegion RotationPeriodInDays",
            EnableKeyRotation="KeyRotationEnabled", KeyPolicy="Policy",
        ),
        "AWS::Lambda::EventInvokeConfig": (
            _asynchronous, frozenset(("DestinationConfig", "MaximumEventAgeInSeconds", "MaximumRetryAttempts"))
        ),
        "AWS::Lambda::Permission": (_permission, frozenset()),
        "AWS::Logs::MetricFilter": (_metric_filter, frozenset(("FilterPattern", "MetricTransformations"))),
        "AWS::RDS::DBInstance": (_database, frozenset(_OF_DATABASE) | {"Tags"}),
        "AWS::RDS::DBParameterGroup": (_parameter_group, frozenset(("Description", "Family", "Parameters"))),
        "AWS::RDS::DBSubnetGroup": (_subnet_group, frozenset(("DBSubnetGroupDescription", "SubnetIds"))),
        "AWS::S3::BucketPolicy": (_bucket_policy, frozenset(("PolicyDocument",))),
        "AWS::SNS::TopicPolicy": (_topic_policy, frozenset(("PolicyDocument",))),
        "AWS::SecretsManager::RotationSchedule": (_rotation, frozenset(("RotationLambdaARN", "RotationRules"))),
    }  # fmt: skip


def _more() -> dict[str, Reader]:
    """Return the readers of what ministack does not read of its types."""
    return {
        "AWS::Events::Rule": (_events_rule, frozenset((*_OF_EVENTS, "Targets"))),
        "AWS::IAM::Role": (_role, frozenset(("ManagedPolicyArns", "PermissionsBoundary", "Policies"))),
        "AWS::Lambda::Function": (_function, frozenset(("KmsKeyArn", "LoggingConfig", "VpcConfig"))),
        "AWS::Logs::LogGroup": reader_of(logs.log_groups.get, KmsKeyId="kmsKeyId"),
        "AWS::S3::Bucket": (_bucket, frozenset((
            "BucketEncryption", "LoggingConfiguration", "OwnershipControls", "PublicAccessBlockConfiguration", "Tags",
        ))),
        "AWS::SNS::Topic": reader_of(lambda arn: (sns.topics.get(arn) or {}).get("attributes"), "KmsMasterKeyId"),
        "AWS::SecretsManager::Secret": reader_of(_secret, "KmsKeyId"),
    }  # fmt: skip


def _policy(arn: str, properties: Properties) -> Mapping[str, Json] | None:
    policy = iam.policies.get(arn)
    if policy is None:
        return None
    holders = [name for name in properties.get("Roles") or ()
               if arn in (iam.roles.get(name) or {}).get("AttachedPolicies", ())]  # fmt: skip
    document = policy["Versions"][policy["DefaultVersionId"]]["Document"]
    return {**policy, "PolicyDocument": json.loads(document), "Roles": holders}


def _role(name: str, _properties: Properties) -> Mapping[str, Json] | None:
    role = iam.roles.get(name)
    if role is None:
        return None
    attached = set()
    for stack in cloudformation.stacks.values():
        for each in stack.get("_resources", {}).values():
            holders = (each.get("Properties") or {}).get("Roles") or ()
            if each["ResourceType"] == "AWS::IAM::ManagedPolicy" and name in holders:
                attached.add(each["PhysicalResourceId"])
    inline = role.get("InlinePolicies") or {}
    found = {
        "ManagedPolicyArns": [each for each in role.get("AttachedPolicies") or () if each not in attached],
        "Policies": [{"PolicyName": each, "PolicyDocument": _parsed(text)} for each, text in inline.items()],
    }
    boundary = role.get("PermissionsBoundary")
    return found | ({"PermissionsBoundary": boundary} if boundary else {})


def _parsed(document: Json) -> Json:
    return json.loads(document) if isinstance(document, str) else document


def _key(identifier: str) -> dict[str, Json] | None:
    found: dict[str, Json] | None = kms.find_key(identifier)
    return found if found and found["KeyState"] != "PendingDeletion" else None


def _alias(name: str, properties: Properties) -> Mapping[str, Json] | None:
    key = next((each for arn, each in kms.aliases.items() if arn.endswith(f":{name}")), None)
    expected = str(properties["TargetKeyId"])
    return None if key is None else {"TargetKeyId": expected if expected.endswith(key) else key}


def _function(name: str, properties: Properties) -> Mapping[str, Json] | None:
    function, _, _ = lambda_.find_function(name)
    if function is None:
        return None
    config = function["config"]
    network = {key: (config.get("VpcConfig") or {}).get(key) or [] for key in properties.get("VpcConfig") or {}}
    logging = {key: (config.get("LoggingConfig") or {}).get(key) for key in properties.get("LoggingConfig") or {}}
    return {"KmsKeyArn": config.get("KMSKeyArn") or "", "LoggingConfig": logging, "VpcConfig": network}


def _asynchronous(_id: str, properties: Properties) -> Mapping[str, Json] | None:
    function, _, _ = lambda_.find_function(str(properties["FunctionName"]))
    found: Mapping[str, Json] | None = ((function or {}).get("event_invoke_configs") or {}).get(properties["Qualifier"])
    return found


def _permission(physical_id: str, properties: Properties) -> Mapping[str, Json] | None:
    function, _, _ = lambda_.find_function(str(properties["FunctionName"]))
    statements = ((function or {}).get("policy") or {}).get("Statement") or ()
    return next(({} for each in statements if each["Sid"] == physical_id), None)


def _metric_filter(physical_id: str, properties: Properties) -> Mapping[str, Json] | None:
    found = logs.metric_filters.get((properties["LogGroupName"], physical_id))
    if found is None:
        return None
    expected = properties.get("MetricTransformations") or [{}]
    transformations = [
        {key: each.get(key[0].lower() + key[1:]) for key in expected[0]} for each in found["metricTransformations"]
    ]
    return {"FilterPattern": found["filterPattern"], "MetricTransformations": transformations}


_OF_EVENTS = ("Description", "EventPattern", "RoleArn", "ScheduleExpression", "State")


def _events_rule(name: str, properties: Properties) -> Mapping[str, Json] | None:
    key = eventbridge.rule_key(name, eventbridge.bus_of_rule(properties))
    read, _ = reader_of(eventbridge.rules.get, " ".join(_OF_EVENTS))
    found = read(key, properties)
    return None if found is None else {**found, "Targets": eventbridge.targets.get(key, [])}


_AS_IN_TEMPLATE = (
    "AllocatedStorage AutoMinorVersionUpgrade BackupRetentionPeriod CACertificateIdentifier CopyTagsToSnapshot "
    "DBInstanceClass DBName DeletionProtection EnableCloudwatchLogsExports Engine EngineLifecycleSupport "
    "EngineVersion Iops KmsKeyId MasterUsername MaxAllocatedStorage MonitoringInterval MonitoringRoleArn MultiAZ "
    "PerformanceInsightsKMSKeyId PerformanceInsightsRetentionPeriod PreferredBackupWindow "
    "PreferredMaintenanceWindow PubliclyAccessible StorageEncrypted StorageThroughput StorageType"
)
_OF_DATABASE = {
    **{name: name for name in _AS_IN_TEMPLATE.split()},
    "DBParameterGroupName": "DBParameterGroups.0.DBParameterGroupName",
    "DBSubnetGroupName": "DBSubnetGroup.DBSubnetGroupName",
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
    "VPCSecurityGroups": "VpcSecurityGroups",
}


def _database(physical_id: str, properties: Properties) -> Mapping[str, Json] | None:
    instance = rds.instances.get(physical_id)
    if instance is None:
        return None
    flat = {
        **instance,
        "DBParameterGroups.0.DBParameterGroupName": next(
            (each["DBParameterGroupName"] for each in instance.get("DBParameterGroups") or ()), None
        ),
        "DBSubnetGroup.DBSubnetGroupName": (instance.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
        "VpcSecurityGroups": [each["VpcSecurityGroupId"] for each in instance.get("VpcSecurityGroups") or ()],
    }
    found = {
        name: _as_asked(properties.get(name), flat.get(key, properties.get(name))) for name, key in _OF_DATABASE.items()
    }
    return {**found, "Tags": instance.get("TagList") or []}


def _as_asked(expected: Json, actual: Json) -> Json:
    """Return what RDS made of a value as the template has it: lower case, and a minor version for a major one (the
    registry's schema of AWS::RDS::DBInstance, propertyTransform)."""
    if isinstance(expected, str) and isinstance(actual, str):
        same = (
            expected.lower() == actual.lower() or actual.startswith(f"{expected}.") or actual.endswith(f"/{expected}")
        )
        return expected if same else actual
    return actual


def _parameter_group(name: str, properties: Properties) -> Mapping[str, Json] | None:
    group = rds.parameter_groups.get(name)
    if group is None:
        return None
    values = {key: each["ParameterValue"] for key, each in group["Parameters"].items()}
    return {"Description": group["Description"], "Family": group["DBParameterGroupFamily"], "Parameters": values}


def _subnet_group(name: str, _properties: Properties) -> Mapping[str, Json] | None:
    group = rds.subnet_groups.get(name)
    if group is None:
        return None
    return {**group, "SubnetIds": [each["SubnetIdentifier"] for each in group["Subnets"]]}


def _bucket(name: str, properties: Properties) -> Mapping[str, Json] | None:
    record = s3.buckets.get(name)
    if record is None:
        return None
    found: dict[str, Json] = {"Tags": s3.bucket_tags.get(name) or {}}
    stored = {"PublicAccessBlockConfiguration": record.get("_public_access_block"),
              "LoggingConfiguration": s3.bucket_logging.get(name)}  # fmt: skip
    for key, xml in stored.items():
        expected = properties.get(key) or {}
        members = {each: _element(xml, _NAMES_IN_XML.get(each, each)) for each in expected}
        found[key] = {each: value for each, value in members.items() if value}
    encryption = s3.bucket_encryption.get(name) or "<SSEAlgorithm>AES256</SSEAlgorithm>"  # S3's default
    by_default = {"SSEAlgorithm": _element(encryption, "SSEAlgorithm"),
                  "KMSMasterKeyID": _element(encryption, "KMSMasterKeyID")}  # fmt: skip
    rule = {"ServerSideEncryptionByDefault": {key: each for key, each in by_default.items() if each},
            "BucketKeyEnabled": _element(encryption, "BucketKeyEnabled") or "false"}  # fmt: skip
    (expected,) = (properties.get("BucketEncryption") or {}).get("ServerSideEncryptionConfiguration") or [rule]
    asked = {key: value for key, value in rule.items() if key in expected}
    found["BucketEncryption"] = {"ServerSideEncryptionConfiguration": [asked]}
    ownership = _element(record.get("_ownership_controls"), "ObjectOwnership")
    rules = [{"ObjectOwnership": ownership}]
    found["OwnershipControls"] = {"Rules": rules} if ownership else properties.get("OwnershipControls")
    return found


_NAMES_IN_XML = {"DestinationBucketName": "TargetBucket", "LogFilePrefix": "TargetPrefix"}


def _element(xml: Json, name: str) -> str:
    found = re.search(rf"<{name}>\s*([^<]*?)\s*</{name}>", str(xml or ""))
    return found[1] if found else ""


def _bucket_policy(_id: str, properties: Properties) -> Mapping[str, Json] | None:
    policy = s3.bucket_policies.get(str(properties["Bucket"]))
    return {"PolicyDocument": _parsed(policy)} if policy else None


def _topic_policy(_id: str, properties: Properties) -> Mapping[str, Json] | None:
    found = [sns.topics.get(arn) for arn in properties["Topics"]]
    policies = [_parsed(each["attributes"].get("Policy")) for each in found if each]
    if len(policies) < len(found):
        return None
    changed = [each for each in policies if each != properties["PolicyDocument"]]
    return {"PolicyDocument": (changed or policies)[0]}


def _secret(identifier: str) -> dict[str, Json] | None:
    _, found = secretsmanager.find(identifier)
    return found if found and not found.get("DeletedDate") else None


def _rotation(_id: str, properties: Properties) -> Mapping[str, Json] | None:
    found = _secret(str(properties["SecretId"]))
    if not found or not found.get("RotationEnabled"):
        return None
    rules, expected = found.get("RotationRules") or {}, properties.get("RotationRules") or {}
    return {**found, "RotationRules": {key: rules[key] for key in expected if key in rules}}
