"""W9201: what an environment should choose, written as a literal."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template

_TRUE = (True, "true", "True")
_LONG_DAYS = 8  # up to a week is a choice that a test environment can bear


class FixedChoice(Rule):
    """Reports Multi-AZ turned on, and backups kept for more than a week, by a literal instead of a parameter."""

    id = "W9201"
    shortdesc = "Multi-AZ or long backups fixed by a literal"
    why = "Every environment then pays for production's comfort, and test environments take long to make and delete."
    source = (
        "Amazon RDS user guide, 'Multi-AZ DB instance deployments'; AWS DMS user guide, 'Working with an AWS DMS"
        " replication instance'"
    )
    bad = """
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties: {MultiAZ: true}
    """
    good = """
    Parameters:
      MultiAZ: {Type: String, AllowedValues: ["true", "false"], Default: "false"}
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties: {MultiAZ: !Ref MultiAZ}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        databases = template.resources("AWS::RDS::DBInstance", "AWS::RDS::DBCluster")
        for resource in [*databases, *template.resources("AWS::DMS::ReplicationInstance")]:
            if resource.properties.get("MultiAZ") in _TRUE:
                where = ("Resources", resource.name, "Properties", "MultiAZ")
                yield RuleFinding(where, f"{resource.name} is Multi-AZ everywhere: take it from a parameter")
        for database in databases:
            days = database.properties.get("BackupRetentionPeriod")
            if isinstance(days, (int, str)) and str(days).isdecimal() and int(days) >= _LONG_DAYS:
                where = ("Resources", database.name, "Properties", "BackupRetentionPeriod")
                yield RuleFinding(
                    where, f"{database.name} keeps backups {days} days everywhere: take it from a parameter"
                )
