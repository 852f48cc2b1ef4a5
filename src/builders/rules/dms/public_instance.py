"""W9313: a replication instance with a public address."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT


class PublicReplicationInstance(Rule):
    """Reports a replication instance that is public by a literal, or because PubliclyAccessible is not given."""

    id = "W9313"
    shortdesc = "A DMS replication instance with a public address"
    why = "The default is true, and the property is create-only: turning it off later replaces the instance."
    source = "CloudFormation template reference, 'AWS::DMS::ReplicationInstance', PubliclyAccessible"
    bad = """
    Resources:
      Instance:
        Type: AWS::DMS::ReplicationInstance
        Properties: {ReplicationInstanceClass: dms.t3.medium}
    """
    good = """
    Resources:
      Instance:
        Type: AWS::DMS::ReplicationInstance
        Properties: {ReplicationInstanceClass: dms.t3.medium, PubliclyAccessible: false}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for instance in template.resources("AWS::DMS::ReplicationInstance"):
            for public in template.branches(instance, "PubliclyAccessible"):
                if public.value in (ABSENT, True, "true") and template.possible(public):
                    yield RuleFinding(public, f"{instance.name} gets a public address: set PubliclyAccessible to false")
