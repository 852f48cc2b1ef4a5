"""W9206: a database that goes with its stack."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template

_COPIES = (
    "DBClusterIdentifier",
    "SourceDBInstanceIdentifier",
    "SourceDBClusterIdentifier",
    "ReplicationSourceIdentifier",
)
"""Properties of a member of a cluster or of a replica: its data is somewhere else too."""


class DeletedDatabase(Rule):
    """Reports DeletionPolicy or UpdateReplacePolicy Delete on a database that is no replica. Policies that are missing
    are left to cfn-lint's I3011, and mean Snapshot here.
    """

    id = "W9206"
    shortdesc = "A database that is deleted with its stack"
    why = "Deleting the stack, or an update that replaces the database, deletes the data and its automated backups."
    source = "CloudFormation template reference, 'DeletionPolicy attribute' and 'UpdateReplacePolicy attribute'"
    bad = """
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        DeletionPolicy: Snapshot
        UpdateReplacePolicy: Delete
        Properties: {Engine: postgres}
    """
    good = """
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        DeletionPolicy: Snapshot
        UpdateReplacePolicy: Snapshot
        Properties: {Engine: postgres}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for database in template.resources("AWS::RDS::DBInstance", "AWS::RDS::DBCluster"):
            if any(name in database.properties for name in _COPIES):
                continue
            for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
                if database.body.get(policy) == "Delete":
                    where = ("Resources", database.name, policy)
                    yield RuleFinding(where, f"{database.name} takes its data along: set {policy} to Snapshot")
