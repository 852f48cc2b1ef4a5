"""E9402: a rotation that starts before, or without, what it needs."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template


class RacingRotation(Rule):
    """Reports a rotation schedule that does not come after what its first rotation needs, where that is in the same
    template: the Lambda permission of its function, the SecretTargetAttachment of its secret, and, for a function in a
    VPC, the endpoint of Secrets Manager and the rules of the function's security groups. With
    RotateImmediatelyOnUpdate off only the permission counts. A function of the template that no permission lets Secrets
    Manager call is reported too.
    """

    id = "E9402"
    shortdesc = "A rotation schedule that races its permission or attachment, or has no permission"
    why = (
        "Secrets Manager checks that it may call the function when the schedule is made, and rotates at once. Without"
        " the order the deploy fails now and then; without the permission it always does."
    )
    source = "CloudFormation template reference, 'AWS::SecretsManager::RotationSchedule' (examples)"
    bad = """
    Resources:
      Password: {Type: "AWS::SecretsManager::Secret", Properties: {GenerateSecretString: {}}}
      Attachment:
        Type: AWS::SecretsManager::SecretTargetAttachment
        Properties: {SecretId: !Ref Password, TargetId: payments, TargetType: "AWS::RDS::DBInstance"}
      Schedule:
        Type: AWS::SecretsManager::RotationSchedule
        Properties: {SecretId: !Ref Password, RotationRules: {AutomaticallyAfterDays: 30}}
    """
    good = """
    Resources:
      Password: {Type: "AWS::SecretsManager::Secret", Properties: {GenerateSecretString: {}}}
      Attachment:
        Type: AWS::SecretsManager::SecretTargetAttachment
        Properties: {SecretId: !Ref Password, TargetId: payments, TargetType: "AWS::RDS::DBInstance"}
      Schedule:
        Type: AWS::SecretsManager::RotationSchedule
        Properties: {SecretId: !Ref Attachment, RotationRules: {AutomaticallyAfterDays: 30}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for schedule in template.resources("AWS::SecretsManager::RotationSchedule"):
            before = template.upstream(schedule)
            for needed in _needed(template, schedule):
                if needed.name not in before and template.possible(schedule.scenario, needed.scenario):
                    kind = needed.type.rpartition("::")[2]
                    message = f"{schedule.name} rotates before {kind} {needed.name} exists: add it to DependsOn"
                    yield RuleFinding(schedule.path, message)
            for function in _uncallable(template, schedule):
                message = f"Secrets Manager may not call {function} for {schedule.name}: add an AWS::Lambda::Permission"
                yield RuleFinding(schedule.path, message)


def _needed(template: Template, schedule: Resource) -> list[Resource]:
    ways = [way for function in template.targets(schedule, "RotationLambdaARN") for way in _ways(template, function)]
    at_once = template.constants(schedule, "RotateImmediatelyOnUpdate")
    if at_once and all(value.value in (False, "false") for value in at_once):
        return _permissions(template, schedule)
    return [*_attachments(template, schedule), *_permissions(template, schedule), *ways]


def _uncallable(template: Template, schedule: Resource) -> list[str]:
    """The functions of this template that rotate and that, for sure, no permission lets Secrets Manager call."""
    functions = [template.resource(name) for name in template.targets(schedule, "RotationLambdaARN")]
    if template.cfn.transform_pre.get("Transform"):
        return []  # a transform makes permissions that are not seen here
    for permission in template.resources("AWS::Lambda::Permission"):
        principals = [str(who.value) for who in template.branches(permission, "Principal")]
        serves = any("secretsmanager" in who or not who.endswith("amazonaws.com") for who in principals)
        named = [template.target(name.value) for name in template.branches(permission, "FunctionName")]
        if serves and not all(target and target.type == "AWS::Lambda::Function" for target in named):
            return []  # it may be the permission of this function, by its name
    letting = [permission.scenario for permission in _permissions(template, schedule)]
    return [
        one.name
        for one in functions
        if one and one.type == "AWS::Lambda::Function" and template.can_lack(letting, schedule.scenario, one.scenario)
    ]


def _ways(template: Template, function: str) -> list[Resource]:
    """The endpoint of Secrets Manager and the rules of security groups that a function in a VPC works through."""
    resource = template.resource(function)
    if resource is None or "VpcConfig" not in resource.properties:
        return []
    used = template.references(resource.properties["VpcConfig"])
    groups = {group.name for group in template.resources("AWS::EC2::SecurityGroup")} & used
    rules = template.resources("AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress")
    endpoints = template.resources("AWS::EC2::VPCEndpoint")
    return [
        *(rule for rule in rules if groups & template.references(rule.properties)),
        *(endpoint for endpoint in endpoints if _is_of_secrets_manager(template, endpoint)),
    ]


def _is_of_secrets_manager(template: Template, endpoint: Resource) -> bool:
    pieces = template.resolver.pieces(endpoint.properties.get("ServiceName"))
    return bool(pieces) and isinstance(pieces[-1], str) and pieces[-1].endswith(".secretsmanager")


def _attachments(template: Template, schedule: Resource) -> list[Resource]:
    secrets = template.targets(schedule, "SecretId")
    attachments = template.resources("AWS::SecretsManager::SecretTargetAttachment")
    return [attachment for attachment in attachments if secrets & template.targets(attachment, "SecretId")]


def _permissions(template: Template, schedule: Resource) -> list[Resource]:
    functions = template.targets(schedule, "RotationLambdaARN")
    return [
        permission
        for permission in template.resources("AWS::Lambda::Permission")
        if functions & template.targets(permission, "FunctionName")
        and any("secretsmanager" in str(who.value) for who in template.branches(permission, "Principal"))
    ]
