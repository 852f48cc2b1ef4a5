"""E9203: neither a snapshot nor a master user."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Value

_RESTORED_FROM = (
    "SourceDBInstanceIdentifier",
    "SourceDBClusterIdentifier",
    "SourceDbiResourceId",
    "DBClusterIdentifier",
)
_RESTORED_FROM_TOO = ("DBClusterSnapshotIdentifier", "SourceDBInstanceAutomatedBackupsArn", "RestoreToPointInTime")


class MissingMasterUser(Rule):
    """Reports a database whose DBSnapshotIdentifier is empty, or by default empty, and that has no MasterUsername."""

    id = "E9203"
    shortdesc = "A snapshot identifier that may be empty, and no master user"
    why = (
        "An empty identifier means a new database, and a new database needs a master user: the deploy fails."
        " Give the user where the snapshot is absent, with one condition for both."
    )
    source = "CloudFormation template reference, 'AWS::RDS::DBInstance', DBSnapshotIdentifier and MasterUsername"
    bad = """
    Parameters:
      Snapshot: {Type: String, Default: ""}
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties: {Engine: postgres, DBSnapshotIdentifier: !Ref Snapshot}
    """
    good = """
    Parameters:
      Snapshot: {Type: String, Default: ""}
    Conditions:
      HasSnapshot: !Not [!Equals [!Ref Snapshot, ""]]
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties:
          Engine: postgres
          DBSnapshotIdentifier: !If [HasSnapshot, !Ref Snapshot, !Ref "AWS::NoValue"]
          MasterUsername: !If [HasSnapshot, !Ref "AWS::NoValue", payments]
          ManageMasterUserPassword: !If [HasSnapshot, !Ref "AWS::NoValue", true]
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for database in template.resources("AWS::RDS::DBInstance"):
            if any(name in database.properties for name in (*_RESTORED_FROM, *_RESTORED_FROM_TOO)):
                continue
            if "DBSnapshotIdentifier" not in database.properties:
                continue
            for snapshot in template.branches(database, "DBSnapshotIdentifier"):
                yield from self._check_snapshot(template, database, snapshot)

    def _check_snapshot(self, template: Template, database: Resource, snapshot: Value) -> Iterator[RuleFinding]:
        parameter = template.parameter(snapshot.value)
        for value in template.resolver.constants(snapshot.value, snapshot.path, snapshot.when):
            if value.value not in ("", ABSENT) or (parameter and _is_guarded(template, parameter, snapshot)):
                continue
            for user in template.branches(database, "MasterUsername"):
                if user.value is ABSENT and template.possible(value, user):
                    yield RuleFinding(
                        value, f"{database.name} has no snapshot{value.source} and then no MasterUsername"
                    )


def _is_guarded(template: Template, parameter: str, snapshot: Value) -> bool:
    """Return whether the parameter is on a side that a condition over the same parameter chose."""
    conditions = template.section("Conditions")
    seen: set[str] = set()
    waiting = [name for name, _ in snapshot.when]
    while waiting:
        name = waiting.pop()
        if name not in seen and name in conditions:
            seen.add(name)
            if parameter in template.references(conditions[name]):
                return True
            waiting += [other for other in conditions if other in repr(conditions[name])]
    return False
