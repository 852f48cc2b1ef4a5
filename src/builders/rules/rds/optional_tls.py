"""W9204: a PostgreSQL parameter group that does not force TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT

_GROUPS = ("AWS::RDS::DBParameterGroup", "AWS::RDS::DBClusterParameterGroup")
_FAMILY = re.compile(r"postgres(\d+)(\.\d+)?")
_ON_BY_DEFAULT = 15


class OptionalTls(Rule):
    """Reports rds.force_ssl turned off, or left out of a group of a family whose default is off."""

    id = "W9204"
    shortdesc = "A PostgreSQL parameter group that does not force TLS"
    why = "Only from PostgreSQL 15 on is rds.force_ssl on by default; before, clients may connect in clear."
    source = "Amazon RDS user guide, 'Using SSL with a PostgreSQL DB instance'"
    bad = """
    Resources:
      Parameters:
        Type: AWS::RDS::DBParameterGroup
        Properties: {Family: postgres14, Description: payments, Parameters: {log_statement: ddl}}
    """
    good = """
    Resources:
      Parameters:
        Type: AWS::RDS::DBParameterGroup
        Properties: {Family: postgres17, Description: payments, Parameters: {rds.force_ssl: "1"}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for group in template.resources(*_GROUPS):
            families = [_FAMILY.fullmatch(str(value.value)) for value in template.constants(group, "Family")]
            old = [family for family in families if family and int(family[1]) < _ON_BY_DEFAULT]
            for parameters in template.branches(group, "Parameters"):
                for switch in template.constants_in(parameters, "rds.force_ssl"):
                    if switch.parameter or not template.possible(switch):
                        continue
                    if str(switch.value).lower() in ("0", "off", "false"):
                        yield RuleFinding(switch, f"{group.name} lets clients connect in clear: set rds.force_ssl to 1")
                    elif switch.value is ABSENT and old:
                        yield RuleFinding(switch, f"{group.name} leaves rds.force_ssl at its default, off: set it to 1")
