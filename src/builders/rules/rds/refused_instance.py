"""E9207: an instance that RDS refuses."""

from __future__ import annotations

from collections.abc import Iterator

from builders.database_instances import CHECKS
from builders.rules._limits import refused_together
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template

_OF_CFN_LINT = ("BackupRetentionPeriod",)


class RefusedInstance(Rule):
    """Reports windows that overlap or are too short, growth of less than a tenth, Iops that the storage cannot have,
    a reserved or malformed name of the master user or the database, logs that the engine does not export, and other
    values of an RDS instance that do not go together.
    """

    id = "E9207"
    shortdesc = "Values that RDS refuses together"
    why = (
        "The registry's schema knows each property by itself. RDS looks at them together, when the stack has been"
        " deploying for minutes, and everything is rolled back."
    )
    source = "Amazon RDS API reference, 'CreateDBInstance'; Amazon RDS user guide, 'Amazon RDS DB instance storage'"
    bad = """
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties: {PreferredBackupWindow: "04:00-04:30", PreferredMaintenanceWindow: "sun:04:00-sun:04:30"}
    """
    good = """
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties: {PreferredBackupWindow: "03:00-03:30", PreferredMaintenanceWindow: "sun:04:00-sun:04:30"}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for kind, checks in CHECKS.items():
            for resource in template.resources(kind):
                for check in checks:
                    # The rule does not know whether the instance stands; on one that does, as much as there is turns
                    # growth off.
                    if check.properties != _OF_CFN_LINT and not check.of_new:
                        yield from refused_together(template, resource, check, "RDS")
