"""E9202: two ways to the master password."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT

_TRUE = (True, "true", "True")


class TwoMasterPasswords(Rule):
    """Reports a database that gives MasterUserPassword and turns ManageMasterUserPassword on."""

    id = "E9202"
    shortdesc = "A database with a master password of its own and a managed one"
    why = "RDS takes one of them and refuses both; which one was meant decides where the password lives."
    source = "CloudFormation template reference, 'AWS::RDS::DBInstance', ManageMasterUserPassword (constraints)"
    bad = """
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties:
          ManageMasterUserPassword: true
          MasterUserPassword: "{{resolve:secretsmanager:payments:SecretString:password}}"
    """
    good = """
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties: {ManageMasterUserPassword: true, MasterUsername: payments}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for database in template.resources("AWS::RDS::DBInstance", "AWS::RDS::DBCluster"):
            managed = [v for v in template.constants(database, "ManageMasterUserPassword") if v.value in _TRUE]
            for password in template.branches(database, "MasterUserPassword"):
                for switch in managed:
                    if password.value is not ABSENT and template.possible(password, switch):
                        message = f"{database.name} manages its master password and is given one: keep one of them"
                        yield RuleFinding(password, f"{message}{switch.source}")
