"""The mistakes of the mutation test, by the rule that must report each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rules.mutations import GONE, Body, Mutation, Place, at, has, leaves, row, text

GROUPS = "AWS::RDS::DBSubnetGroup AWS::DMS::ReplicationSubnetGroup"
DATABASE = "AWS::RDS::DBInstance"
ENDPOINT = "AWS::DMS::Endpoint"
TASK = "AWS::DMS::ReplicationTask"
ROUTE = "AWS::EC2::Route"
ALARM = "AWS::CloudWatch::Alarm"
FUNCTION = "AWS::Lambda::Function"
ROLE = "AWS::IAM::Role"
SECRET = "AWS::SecretsManager::Secret"
SCHEDULE = "AWS::SecretsManager::RotationSchedule"
PARAMETER_GROUP = "AWS::RDS::DBParameterGroup"

AWS_POLICY = "arn:aws:iam::aws:policy/service-role/"
SECRET_TEXT = "correct-horse-battery"
ALL_TABLES = (
    '{"rules": [{"rule-type": "selection", "rule-id": "1", "rule-action": "include",'
    ' "object-locator": {"schema-name": "%", "table-name": "%"}}]}'
)


def _measures(namespace: str, *names: str) -> Any:
    def holds(resource: Body, body: Body) -> bool:
        properties = resource["Properties"]
        return properties.get("Namespace") == namespace and (not names or properties.get("MetricName") in names)

    return holds


def _is(name: str, *values: Any) -> Any:
    return lambda resource, body: resource["Properties"].get(name) in values


def _both(first: Any, second: Any) -> Any:
    return lambda resource, body: first(resource, body) and second(resource, body)


def _of_own_secret(resource: Body, body: Body) -> bool:
    return "Ref" in resource["Properties"]["SecretId"]


def _makes(kind: str) -> Any:
    return lambda resource, body: any(other["Type"] == kind for other in body["Resources"].values())


def _no_egress(body: Body) -> Iterator[Place]:
    for name, resource in body["Resources"].items():
        if resource["Type"] == "AWS::EC2::SecurityGroup":
            bare = at(body, ["Resources", name, "Properties", "SecurityGroupEgress"], GONE)
            bare["Resources"] = {
                other: it for other, it in bare["Resources"].items() if it["Type"] != "AWS::EC2::SecurityGroupEgress"
            }
            yield name, bare


def _default_password(body: Body) -> Iterator[Place]:
    for name, resource in body["Resources"].items():
        if resource["Type"] == DATABASE:
            changed = at(body, ["Resources", name, "Properties", "MasterUserPassword"], {"Ref": "Secret0"})
            yield (
                name,
                at(changed, ["Parameters", "Secret0"], {"Type": "String", "NoEcho": True, "Default": SECRET_TEXT}),
            )


def _no_user(body: Body) -> Iterator[Place]:
    for name, resource in body["Resources"].items():
        if resource["Type"] == DATABASE:
            changed = at(body, ["Resources", name, "Properties", "MasterUsername"], GONE)
            changed = at(changed, ["Resources", name, "Properties", "DBSnapshotIdentifier"], {"Ref": "Snapshot0"})
            yield name, at(changed, ["Parameters", "Snapshot0"], {"Type": "String", "Default": ""})


_LABELS = ("AWS::DirectConnect::", "AWS::RAM::", "AWS::Route53Resolver::ResolverRule")
"""Their names are labels: they can change, and AWS lets them repeat, so that nothing collides."""


def _fixed_names(body: Body) -> Iterator[Place]:
    """Every name of a resource or an export that carries the suffix, without it; a metric's is none of a resource."""
    for path, found in leaves(body["Resources"], ("Resources",)):
        named = len(path) > 3 and str(path[3]).endswith(("Name", "Identifier")) and path[4:] == ("Fn::Sub",)
        named = named and path[3] != "MetricName"
        label = body["Resources"][path[1]]["Type"].startswith(_LABELS)
        if named and not label and "${EnvironmentSuffix}" in found:
            yield "/".join(map(str, path)), at(body, list(path[:4]), found.replace("-${EnvironmentSuffix}", ""))
    for name, output in body.get("Outputs", {}).items():
        if "Export" in output:
            yield f"Outputs/{name}", at(body, ["Outputs", name, "Export", "Name"], "payments")


def _placeholder_outputs(body: Body) -> Iterator[Place]:
    for name in body.get("Outputs", {}):
        for value in ("placeholder", "dxvif-xxxxxxxx", "db.example.com", "203.0.113.7"):
            yield f"{name} {value}", at(body, ["Outputs", name, "Value"], value)


def _untagged(body: Body) -> Iterator[Place]:
    for name, resource in body["Resources"].items():
        if "Tags" in resource.get("Properties", {}):
            yield name, at(body, ["Resources", name, "Properties", "Tags"], GONE)


def _mortal_keys(body: Body) -> Iterator[Place]:
    kept = [it for it in body["Resources"].values() if it.get("DeletionPolicy") in ("Retain", "Snapshot")]
    for name, resource in body["Resources"].items():
        uses = any({"Fn::GetAtt": [name, "Arn"]} in it["Properties"].values() for it in kept if "Properties" in it)
        if resource["Type"] == "AWS::KMS::Key" and uses:
            yield name, at(body, ["Resources", name, "DeletionPolicy"], "Delete")


def _unordered_rotation(body: Body) -> Iterator[Place]:
    needed = ("AWS::Lambda::Permission", "AWS::SecretsManager::SecretTargetAttachment")
    if any(it["Type"] in needed for it in body["Resources"].values()):
        yield from row("E9402", "", SCHEDULE, "DependsOn", GONE, has("RotationLambdaARN")).places(body)


def _swapped_arns(body: Body) -> Iterator[Place]:
    """A task that is given its source endpoint for its instance, and a route that is given its table for a gateway."""
    for kind, takes, gives in (
        (TASK, "ReplicationInstanceArn", "SourceEndpointArn"),
        (ROUTE, "GatewayId", "RouteTableId"),
    ):
        for name, resource in body["Resources"].items():
            given = resource["Properties"].get(gives, {}) if resource["Type"] == kind else {}
            if given.get("Ref") in body["Resources"]:
                yield name, at(body, ["Resources", name, "Properties", takes], given)


def _early_routes(body: Body) -> Iterator[Place]:
    """A route that no longer waits for the attachment of its gateway."""
    for name, resource in body["Resources"].items():
        if resource["Type"] == ROUTE and "Metadata" in resource:
            yield name, at(body, ["Resources", name, "Metadata"], GONE)


def _deaf_topics(body: Body) -> Iterator[Place]:
    """A topic with the key of SNS itself, and one with a key that lets no service in; an alarm publishes there."""
    for name, resource in body["Resources"].items():
        if resource["Type"] == "AWS::SNS::Topic":
            alarm = {"Type": ALARM, "Properties": {"AlarmActions": [{"Ref": name}]}}
            told = at(body, ["Resources", "Alarm0"], alarm)
            encryption = ["Resources", name, "Properties", "KmsMasterKeyId"]
            yield f"{name} of SNS", at(told, encryption, "alias/aws/sns")
            closed = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kms:*"}]}
            key = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": closed}}
            yield f"{name} closed", at(at(told, ["Resources", "Key0"], key), encryption, {"Ref": "Key0"})


def _no_interfaces(body: Body) -> Iterator[Place]:
    """Each function in a VPC with a role that may write logs alone."""
    for name, resource in body["Resources"].items():
        if resource["Type"] == FUNCTION and "VpcConfig" in resource["Properties"]:
            role = {"Type": ROLE, "Properties": {"ManagedPolicyArns": [f"{AWS_POLICY}AWSLambdaBasicExecutionRole"]}}
            bare = at(body, ["Resources", "Role0"], role)
            yield name, at(bare, ["Resources", name, "Properties", "Role"], {"Fn::GetAtt": ["Role0", "Arn"]})


def _associated_twice(body: Body) -> Iterator[Place]:
    """Each transit gateway with an attachment, and an association of it with another table than its own."""
    for name, resource in body["Resources"].items():
        if resource["Type"] == "AWS::EC2::TransitGateway":
            default = at(body, ["Resources", name, "Properties", "DefaultRouteTableAssociation"], GONE)
            attachment = {
                "Type": "AWS::EC2::TransitGatewayAttachment",
                "Properties": {"TransitGatewayId": {"Ref": name}},
            }
            attached = at(default, ["Resources", "Attachment0"], attachment)
            association = {
                "Type": "AWS::EC2::TransitGatewayRouteTableAssociation",
                "Properties": {"TransitGatewayAttachmentId": {"Ref": "Attachment0"}},
            }
            yield name, at(attached, ["Resources", "Association0"], association)


def _second_attachments(body: Body) -> Iterator[Place]:
    """Each attachment twice, where its secret is in the template: what an import names nobody knows."""
    for name, resource in body["Resources"].items():
        is_attachment = resource["Type"] == "AWS::SecretsManager::SecretTargetAttachment"
        if is_attachment and "Ref" in resource["Properties"]["SecretId"]:
            yield name, at(body, ["Resources", "Again"], resource)


def _alarms_on_work(body: Body) -> Iterator[Place]:
    """Each alarm on a task's lag, as one on rows that arrive."""
    for name, resource in body["Resources"].items():
        if resource["Type"] == ALARM and _measures("AWS/DMS", "CDCLatencySource", "CDCLatencyTarget")(resource, body):
            changed = at(body, ["Resources", name, "Properties", "MetricName"], "FullLoadThroughputRowsTarget")
            yield name, at(changed, ["Resources", name, "Properties", "Threshold"], 0)


def _trust_without_condition(body: Body) -> Iterator[Place]:
    for name, resource in body["Resources"].items():
        if resource["Type"] == ROLE:
            trust = resource["Properties"]["AssumeRolePolicyDocument"]
            for document, path in _branches(trust, ["Resources", name, "Properties", "AssumeRolePolicyDocument"]):
                for index, statement in enumerate(document["Statement"]):
                    who = str(statement.get("Principal", {}).get("AWS", ""))
                    another = "${AWS::AccountId}" not in who and ":root" in who
                    if "Condition" in statement and another and statement["Action"] != ["sts:SetSourceIdentity"]:
                        yield name, at(body, [*path, "Statement", index, "Condition"], GONE)


def _branches(node: Any, path: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """The values that a property may have, each with its path: itself, or those of its Fn::If."""
    if "Fn::If" not in node:
        yield node, path
        return
    for number in (1, 2):
        yield from _branches(node["Fn::If"][number], [*path, "Fn::If", number])


def _dimensions(body: Body) -> Iterator[tuple[str, list[str | int], Body]]:
    """Each dimension of an alarm of AWS's own metrics: where it stands, its path, and itself."""
    for logical, resource in body["Resources"].items():
        ours = resource["Type"] == ALARM and resource["Properties"].get("Namespace", "").startswith("AWS/")
        for index, dimension in enumerate(resource["Properties"].get("Dimensions", []) if ours else []):
            yield f"{logical}/{index}", ["Resources", logical, "Properties", "Dimensions", index], dimension


def _unknown_dimensions(body: Body) -> Iterator[Place]:
    for place, path, _ in _dimensions(body):
        yield place, at(body, [*path, "Name"], "DatabaseId")


def _wrong_task_identifiers(body: Body) -> Iterator[Place]:
    for place, path, dimension in _dimensions(body):
        if dimension["Name"] == "ReplicationTaskIdentifier":
            yield f"{place} another part", at(body, [*path, "Value", "Fn::Select", 0], 5)
            for name, resource in body["Resources"].items():
                if resource["Type"] == TASK:
                    yield f"{place} whole", at(body, [*path, "Value"], {"Ref": name})
                    named = resource["Properties"]["ReplicationTaskIdentifier"]
                    yield f"{place} name", at(body, [*path, "Value"], named)


def _service_principals(body: Body) -> Iterator[Place]:
    for path, found in leaves(body["Resources"], ("Resources",)):
        trusts_dms = "AssumeRolePolicyDocument" in path and found == "dms.${AWS::Region}.amazonaws.com"
        if trusts_dms and any(it["Type"] == ENDPOINT for it in body["Resources"].values()):
            yield "/".join(map(str, path)), at(body, list(path[:-1]), "dms.amazonaws.com")


def _renamed_account_roles(body: Body) -> Iterator[Place]:
    yield from row("E9311", "", ROLE, "RoleName", "dms-vpc-role-dev", _is("RoleName", "dms-vpc-role")).places(body)
    yield from row("E9311", "", ROLE, "RoleName", GONE, _is("RoleName", "dms-cloudwatch-logs-role")).places(body)


_CREATE_ONLY = {
    DATABASE: ("DBName", "StorageEncrypted"),
    "AWS::DMS::ReplicationInstance": ("PubliclyAccessible", "KmsKeyId"),
    TASK: ("MigrationType",),
}


def _replacing_parameters(body: Body) -> Iterator[Place]:
    """A parameter with a choice in a property that forces a replacement of what has a name."""
    for name, resource in body["Resources"].items():
        for key in _CREATE_ONLY.get(resource["Type"], ()):
            changed = at(body, ["Resources", name, "Properties", key], {"Ref": "Choice0"})
            yield (
                f"{name} {key}",
                at(changed, ["Parameters", "Choice0"], {"Type": "String", "AllowedValues": ["a", "b"]}),
            )


def _plain_arns(body: Body) -> Iterator[Place]:
    for path, found in leaves(body["Resources"], ("Resources",)):
        alone = found.startswith("arn:${AWS::Partition}:") and found.count("${") == 1 and path[-1] == "Fn::Sub"
        if alone and "Properties" in path:
            yield "/".join(map(str, path)), at(body, list(path[:-1]), found.replace("${AWS::Partition}", "aws"))


def _nested(body: Body) -> Iterator[Place]:
    yield "Transform", {"Transform": "AWS::LanguageExtensions", **body}
    yield "Inner", at(body, ["Resources", "Inner"], {"Type": "AWS::CloudFormation::Stack", "Properties": {}})


IDLE = "def set_secret(event):\n    pass\n"
MISTAKES = [
    row("E9101", "an empty list", GROUPS, "SubnetIds", []),
    row("E9102", "one subnet", GROUPS, "SubnetIds", ["subnet-0f3a91c27be45d680"]),
    Mutation("W9103", "no egress", _no_egress),
    row(
        "E9110",
        "an ASN of nobody",
        "AWS::EC2::TransitGateway AWS::DirectConnect::DirectConnectGateway",
        "AmazonSideAsn",
        65535,
    ),
    row("E9202", "two passwords", DATABASE, "ManageMasterUserPassword", True, has("MasterUserPassword")),
    Mutation("E9203", "no master user", _no_user),
    row("W9201", "Multi-AZ everywhere", f"{DATABASE} AWS::DMS::ReplicationInstance", "MultiAZ", True),
    row("W9201", "long backups everywhere", DATABASE, "BackupRetentionPeriod", 35),
    row("W9206", "deleted with its stack", DATABASE, "DeletionPolicy", "Delete"),
    row("W9206", "deleted when it is replaced", DATABASE, "UpdateReplacePolicy", "Delete"),
    row(
        "W9405",
        "a secret that dies first",
        SECRET,
        "DeletionPolicy",
        "Delete",
        _makes("AWS::RDS::DBInstance"),
    ),
    row("E9207", "growth that is too little", DATABASE, "MaxAllocatedStorage", 21, has("AllocatedStorage")),
    row("W9204", "TLS off", PARAMETER_GROUP, "Parameters", {"rds.force_ssl": "0"}),
    row("W9205", "a fixed name", PARAMETER_GROUP, "DBParameterGroupName", "payments"),
    *[
        row(
            "E9301", f"{name} beside a secret", ENDPOINT, name, "5432", has("PostgreSqlSettings.SecretsManagerSecretId")
        )
        for name in ("Username", "Password", "ServerName", "Port")
    ],
    row("W9302", "no TLS", ENDPOINT, "SslMode", "none"),
    row("W9302", "TLS left to its default", ENDPOINT, "SslMode", GONE),
    row("E9303", "no certificate", ENDPOINT, "CertificateArn", GONE, _is("SslMode", "verify-full", "verify-ca")),
    row("E9304", "a misspelt SslMode", ENDPOINT, "SslMode", "verify-fulll"),
    row("E9304", "a misspelt plug-in", ENDPOINT, "PostgreSqlSettings.PluginName", "pglogcal"),
    row("E9304", "a misspelt side", ENDPOINT, "EndpointType", "sources"),
    row("E9304", "an engine of another name", ENDPOINT, "EngineName", "postgresql"),
    row("E9305", "mappings that are not JSON", TASK, "TableMappings", "{rules: []}"),
    row("E9305", "mappings without rules", TASK, "TableMappings", "{}"),
    row("E9306", "settings that are not JSON", TASK, "ReplicationTaskSettings", "{"),
    row("E9306", "a misspelt section", TASK, "ReplicationTaskSettings", '{"Loging": {}}'),
    row("E9306", "a log group", TASK, "ReplicationTaskSettings", '{"Logging": {"CloudWatchLogGroup": "dms-tasks-x"}}'),
    row("W9307", "every schema", TASK, "TableMappings", ALL_TABLES),
    row("W9308", "booleans as text", ENDPOINT, "PostgreSqlSettings.MapBooleanAsBoolean", False, _makes(TASK)),
    row("W9309", "no heartbeat", ENDPOINT, "PostgreSqlSettings.HeartbeatEnable", GONE, _is("EndpointType", "source")),
    Mutation("E9310", "the global principal", _service_principals),
    Mutation("E9311", "a renamed account role", _renamed_account_roles),
    row("W9313", "a public address", "AWS::DMS::ReplicationInstance", "PubliclyAccessible", True),
    row("W9313", "a public address by default", "AWS::DMS::ReplicationInstance", "PubliclyAccessible", GONE),
    row(
        "W9314",
        "made by every stack",
        ROLE,
        "Condition",
        GONE,
        _is("RoleName", "dms-vpc-role", "dms-cloudwatch-logs-role"),
    ),
    row(
        "W9314",
        "deleted with its stack",
        ROLE,
        "DeletionPolicy",
        GONE,
        _is("RoleName", "dms-vpc-role", "dms-cloudwatch-logs-role"),
    ),
    row(
        "E9401",
        "days and an expression",
        SCHEDULE,
        "RotationRules",
        {"AutomaticallyAfterDays": 30, "ScheduleExpression": "rate(30 days)"},
    ),
    Mutation("E9022", "one for another", _swapped_arns),
    row("E9023", "an unknown network type", DATABASE, "NetworkType", "IPV6"),
    Mutation("E9041", "no order", _early_routes),
    Mutation("E9402", "no order", _unordered_rotation),
    Mutation("E9406", "a second attachment", _second_attachments),
    row(
        "E9505",
        "a permission for another service",
        "AWS::Lambda::Permission",
        "Principal",
        "s3.amazonaws.com",
        lambda it, body: it["Properties"]["Principal"] == "events.amazonaws.com",
    ),
    row("E9407", "no function", SCHEDULE, "RotationLambdaARN", GONE, _of_own_secret),
    Mutation("E9111", "an association by the gateway itself", _associated_twice),
    Mutation("E9506", "a role that may write logs alone", _no_interfaces),
    row(
        "E9042",
        "nobody who may change it",
        "AWS::KMS::Key",
        "KeyPolicy",
        {"Statement": [{"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "kms:*"}]},
    ),
    Mutation("E9615", "a key that its publisher may not use", _deaf_topics),
    row(
        "W9403",
        "no source",
        "AWS::Lambda::Permission",
        "SourceAccount",
        GONE,
        lambda it, body: "SourceArn" not in it["Properties"],
    ),
    row(
        "W9404",
        "a length from a parameter",
        SECRET,
        "GenerateSecretString.PasswordLength",
        {"Ref": "EnvironmentSuffix"},
        lambda it, body: it.get("DeletionPolicy") == "Retain",
    ),
    row("E9411", "a literal", SECRET, "SecretString", f'{{"password": "{SECRET_TEXT}"}}'),
    row("W9501", "a program in the template", FUNCTION, "Code", {"ZipFile": "a = 0\n" * 30}),
    row("W9502", "steps that do nothing", FUNCTION, "Code", {"ZipFile": IDLE}),
    row("W9502", "a promise", FUNCTION, "Code", {"ZipFile": "a = 0  # TODO rotate"}),
    row("W9503", "a key without a hash", FUNCTION, "Code.S3Key", "rotation.zip", has("Code.S3Key")),
    row(
        "E9504",
        "no way to S3",
        "AWS::EC2::VPCEndpoint",
        "ServiceName",
        "com.amazonaws.eu-west-1.dms",
        lambda it, body: (
            any(other["Type"].startswith("Custom::") for other in body["Resources"].values())
            and "VpcEndpointType" not in it["Properties"]
        ),
    ),
    row("E9511", "a password in a variable", FUNCTION, "Environment.Variables.DB_PASSWORD", SECRET_TEXT),
    row(
        "W9512",
        "a resolved variable",
        FUNCTION,
        "Environment.Variables.A",
        "{{resolve:secretsmanager:a:SecretString:b}}",
    ),
    Mutation("W9001", "a name without the suffix", _fixed_names),
    row("W9051", "kept from the first attempt on", ROLE, "DeletionPolicy", "Retain", has("RoleName")),
    text("E9002", "a made-up account", ":${AWS::AccountId}:", ":123456789012:", within="arn:"),
    text("W9002", "a written account", ":${AWS::AccountId}:", ":482916503718:", within="arn:"),
    text("W9003", "a written region", ":${AWS::Region}:", ":eu-west-1:", within="arn:"),
    Mutation("I9004", "a written partition", _plain_arns),
    Mutation("W9050", "a parameter that replaces what has a name", _replacing_parameters),
    Mutation("W9005", "no external id", _trust_without_condition),
    Mutation("E9010", "a password as a default", _default_password),
    row("E9010", "a token in clear", DATABASE, "TdeCredentialPassword", SECRET_TEXT),
    row(
        "E9013",
        "a connection string",
        FUNCTION,
        "Environment.Variables.A",
        f"postgresql://a:{SECRET_TEXT}@db.internal/a",
    ),
    *[
        row("E9020", f"the placeholder {host}", ENDPOINT, "ServerName", host)
        for host in ("db.example.com", "192.0.2.10", "CHANGEME", "<host>", "placeholder")
    ],
    row("E9020", "a made-up id", "AWS::EC2::Subnet AWS::EC2::SecurityGroup", "VpcId", "vpc-12345678"),
    Mutation("E9021", "a placeholder", _placeholder_outputs),
    Mutation("W9030", "no tags", _untagged),
    Mutation("E9040", "a key that dies first", _mortal_keys),
    row(
        "E9601",
        "a metric that does not exist",
        ALARM,
        "MetricName",
        "ReplicationTaskStatus",
        lambda it, body: (
            str(it["Properties"].get("Namespace", "")) in ("AWS/DMS", "AWS/RDS", "AWS/Lambda", "AWS/Events", "AWS/SNS")
        ),
    ),
    Mutation("E9602", "a dimension that does not exist", _unknown_dimensions),
    Mutation("E9603", "a task by the wrong identifier", _wrong_task_identifiers),
    row("W9604", "the sum of a percentage", ALARM, "Statistic", "Sum", _measures("AWS/RDS", "CPUUtilization")),
    row("W9604", "the sum of a percentage", ALARM, "Statistic", "Sum", _measures("AWS/DMS", "CPUUtilization")),
    row("E9605", "a threshold below zero", ALARM, "Threshold", -1, _both(_measures("AWS/DMS"), has("Statistic"))),
    row("E9605", "a threshold below zero", ALARM, "Threshold", -1, _both(_measures("AWS/RDS"), has("Statistic"))),
    row(
        "W9606",
        "missing data as health",
        ALARM,
        "TreatMissingData",
        "notBreaching",
        _measures("AWS/DMS", "CDCLatencySource", "CDCLatencyTarget"),
    ),
    row(
        "W9606",
        "missing data unsaid",
        ALARM,
        "TreatMissingData",
        GONE,
        _measures("AWS/DMS", "CDCLatencySource", "CDCLatencyTarget"),
    ),
    row(
        "E9607",
        "a dashboard of nothing",
        "AWS::CloudWatch::Dashboard",
        "DashboardBody",
        '{"widgets": [{"properties": {"metrics": [["AWS/DMS", "Lag"]]}}]}',
    ),
    row(
        "W9608",
        "turned round",
        ALARM,
        "ComparisonOperator",
        "LessThanThreshold",
        _measures("AWS/DMS", "CDCLatencySource", "CDCLatencyTarget", "CPUUtilization"),
    ),
    row(
        "W9608",
        "turned round",
        ALARM,
        "ComparisonOperator",
        "GreaterThanThreshold",
        _measures("AWS/RDS", "FreeStorageSpace", "FreeableMemory"),
    ),
    row(
        "W9610", "memory that is in use", ALARM, "MetricName", "FreeableMemory", _measures("AWS/DMS", "AvailableMemory")
    ),
    row("E9620", "gigabytes", ALARM, "Unit", "Gigabytes", _measures("AWS/RDS", "FreeStorageSpace", "CPUUtilization")),
    row("E9621", "a mail address", ALARM, "AlarmActions", ["ops@bank.internal"]),
    Mutation("W9608", "work that is done", _alarms_on_work),
    row(
        "E9609",
        "a field that no event has",
        "AWS::Events::Rule",
        "EventPattern.eventId",
        ["DMS-EVENT-0078"],
        has("EventPattern"),
    ),
    row(
        "E9609",
        "a field of another event",
        "AWS::Events::Rule",
        "EventPattern.detail",
        {"status": ["failed"]},
        lambda it, body: it["Properties"].get("EventPattern", {}).get("source") == ["aws.dms"],
    ),
    row(
        "E9609",
        "an event that is not sent",
        "AWS::Events::Rule",
        "EventPattern.detail-type",
        ["Replication Task Failed"],
        lambda it, body: it["Properties"].get("EventPattern", {}).get("source") == ["aws.dms"],
    ),
    Mutation("E9701", "a transform or a nested stack", _nested),
]
