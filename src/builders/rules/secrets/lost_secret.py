"""W9405: a secret that dies before the database that it opens."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.template_bodies import LEAVING


class LostSecret(Rule):
    """Reports a secret that is deleted with its stack while the database that it is attached to is retained."""

    id = "W9405"
    shortdesc = "A secret that dies before the database that it opens"
    why = "CloudFormation deletes a secret at once, without a recovery window: what is restored has no known password."
    source = "CloudFormation template reference, 'AWS::SecretsManager::Secret'; AWS Secrets Manager API, 'DeleteSecret'"
    bad = """
    Resources:
      Password: {Type: "AWS::SecretsManager::Secret", Properties: {GenerateSecretString: {}}}
      Database: {Type: "AWS::RDS::DBInstance", DeletionPolicy: Snapshot, Properties: {Engine: postgres}}
      Attachment:
        Type: AWS::SecretsManager::SecretTargetAttachment
        Properties: {SecretId: !Ref Password, TargetId: !Ref Database, TargetType: "AWS::RDS::DBInstance"}
    """
    good = """
    Resources:
      Password:
        Type: AWS::SecretsManager::Secret
        DeletionPolicy: Retain
        Properties: {GenerateSecretString: {}}
      Database: {Type: "AWS::RDS::DBInstance", DeletionPolicy: Snapshot, Properties: {Engine: postgres}}
      Attachment:
        Type: AWS::SecretsManager::SecretTargetAttachment
        Properties: {SecretId: !Ref Password, TargetId: !Ref Database, TargetType: "AWS::RDS::DBInstance"}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for attachment in template.resources("AWS::SecretsManager::SecretTargetAttachment"):
            for secret_value in template.branches(attachment, "SecretId"):
                for target_value in template.branches(attachment, "TargetId"):
                    secret, database = template.target(secret_value.value), template.target(target_value.value)
                    if secret is None or database is None or secret.type != "AWS::SecretsManager::Secret":
                        continue
                    kept = database.body.get("DeletionPolicy") in LEAVING
                    lost = secret.body.get("DeletionPolicy", "Delete") == "Delete"
                    if kept and lost and template.possible(secret_value, target_value):
                        where = ("Resources", secret.name)
                        yield RuleFinding(
                            where, f"{secret.name} is deleted while {database.name} is kept: retain the secret"
                        )
