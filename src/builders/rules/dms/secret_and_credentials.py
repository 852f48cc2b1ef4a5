"""E9301: a DMS endpoint with a secret and credentials beside it."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._dms import secrets_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT

_CREDENTIALS = ("Username", "Password", "ServerName", "Port")


class SecretAndCredentials(Rule):
    """Reports Username, Password, ServerName or Port on a DMS endpoint that reads a secret."""

    id = "E9301"
    shortdesc = "A DMS endpoint with a secret and credentials beside it"
    why = "The secret holds all four: DMS refuses an endpoint that gives them twice, and a password beside it leaks."
    source = "AWS DMS user guide, 'Using secrets to access AWS Database Migration Service endpoints'"
    bad = """
    Parameters:
      SecretArn: {Type: String}
      RoleArn: {Type: String}
    Resources:
      Source:
        Type: AWS::DMS::Endpoint
        Properties:
          EndpointType: source
          EngineName: postgres
          Username: dms
          PostgreSqlSettings: {SecretsManagerSecretId: !Ref SecretArn, SecretsManagerAccessRoleArn: !Ref RoleArn}
    """
    good = """
    Parameters:
      SecretArn: {Type: String}
      RoleArn: {Type: String}
    Resources:
      Source:
        Type: AWS::DMS::Endpoint
        Properties:
          EndpointType: source
          EngineName: postgres
          SslMode: require
          PostgreSqlSettings: {SecretsManagerSecretId: !Ref SecretArn, SecretsManagerAccessRoleArn: !Ref RoleArn}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for endpoint in template.resources("AWS::DMS::Endpoint"):
            secrets = secrets_of(template, endpoint)
            for name in _CREDENTIALS:
                for given in template.branches(endpoint, name):
                    if given.value is not ABSENT and any(template.possible(given, secret) for secret in secrets):
                        yield RuleFinding(given, f"{endpoint.name} reads a secret and gives {name} too: remove {name}")
