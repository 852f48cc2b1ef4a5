"""E9407: a rotation schedule without a function."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT

_BY_ANOTHER = ("ExternalSecretRotationMetadata", "ExternalSecretRotationRoleArn")


class IdleSchedule(Rule):
    """Reports the rotation schedule of a secret of the template that names no function, and one that asks for a hosted
    function without the transform that makes it.
    """

    id = "E9407"
    shortdesc = "A rotation schedule without a function"
    why = "Secrets Manager refuses the schedule: it knows no function that would rotate the secret."
    source = "CloudFormation template reference, 'AWS::SecretsManager::RotationSchedule'"
    bad = """
    Resources:
      Secret: {Type: "AWS::SecretsManager::Secret", Properties: {GenerateSecretString: {}}}
      Schedule:
        Type: AWS::SecretsManager::RotationSchedule
        Properties: {SecretId: !Ref Secret, RotationRules: {AutomaticallyAfterDays: 30}}
    """
    good = """
    Parameters: {Function: {Type: String}}
    Resources:
      Secret: {Type: "AWS::SecretsManager::Secret", Properties: {GenerateSecretString: {}}}
      Schedule:
        Type: AWS::SecretsManager::RotationSchedule
        Properties: {SecretId: !Ref Secret, RotationLambdaARN: !Ref Function}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        transforms = str(template.cfn.transform_pre.get("Transform") or template.body.get("Transform") or "")
        for schedule in template.resources("AWS::SecretsManager::RotationSchedule"):
            if any(name in schedule.properties for name in _BY_ANOTHER):
                continue
            for hosted in template.branches(schedule, "HostedRotationLambda"):
                if hosted.value is not ABSENT:
                    if not transforms and template.possible(hosted):
                        message = f"{schedule.name} asks for a hosted function, which a transform makes"
                        yield RuleFinding(hosted, f"{message}: add Transform: AWS::SecretsManager-2020-07-23")
                    continue
                for function in template.branches(schedule, "RotationLambdaARN"):
                    for secret in template.branches(schedule, "SecretId"):
                        made = template.target(secret.value)
                        is_plain = made is not None and made.type.endswith("::Secret") and "Type" not in made.properties
                        if is_plain and function.value is ABSENT and template.possible(hosted, function, secret):
                            message = f"{schedule.name} names no function that rotates the secret"
                            yield RuleFinding(function, f"{message}: give RotationLambdaARN")
