"""E9040: data that outlives the key that reads it."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.template_bodies import LEAVING

_KEY_PROPERTIES = ("KmsKeyId", "KMSMasterKeyId", "KmsMasterKeyId", "KmsKeyArn", "PerformanceInsightsKMSKeyId")


class KeyDiesFirst(Rule):
    """Reports a KMS key that is deleted with its stack while it encrypts something that the same stack retains."""

    id = "E9040"
    shortdesc = "Data that outlives the key that reads it"
    why = "The snapshot stays and the key is scheduled for deletion: after its waiting time nobody can read the data."
    source = "AWS KMS developer guide, 'Deleting AWS KMS keys'"
    bad = """
    Resources:
      Key: {Type: "AWS::KMS::Key", Properties: {EnableKeyRotation: true}}
      Database:
        Type: AWS::RDS::DBInstance
        DeletionPolicy: Snapshot
        Properties: {KmsKeyId: !GetAtt Key.Arn, StorageEncrypted: true}
    """
    good = """
    Resources:
      Key: {Type: "AWS::KMS::Key", DeletionPolicy: Retain, Properties: {EnableKeyRotation: true}}
      Database:
        Type: AWS::RDS::DBInstance
        DeletionPolicy: Snapshot
        Properties: {KmsKeyId: !GetAtt Key.Arn, StorageEncrypted: true}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for resource in template.resources():
            if resource.body.get("DeletionPolicy") not in LEAVING:
                continue
            for name in set(_KEY_PROPERTIES) & set(resource.properties):
                for value in template.branches(resource, name):
                    key = template.target(value.value)
                    if key is None or key.type != "AWS::KMS::Key" or not template.possible(value, key.scenario):
                        continue
                    if key.body.get("DeletionPolicy", "Delete") == "Delete":
                        where = ("Resources", key.name)
                        yield RuleFinding(where, f"{key.name} is deleted while {resource.name} is kept: retain the key")
