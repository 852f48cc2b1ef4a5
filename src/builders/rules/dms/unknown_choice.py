"""E9304: a value that DMS does not know."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Finding, Rule
from builders.rules._template import Template

_CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "AWS::DMS::Endpoint": {
        "EndpointType": ("source", "target"),
        "SslMode": ("none", "require", "verify-ca", "verify-full"),
        "PostgreSqlSettings.PluginName": ("no-preference", "test-decoding", "pglogical"),
        "PostgreSqlSettings.MapLongVarcharAs": ("wstring", "clob", "nclob"),
        "PostgreSqlSettings.DatabaseMode": ("default", "babelfish"),
        "MySqlSettings.TargetDbType": ("specific-database", "multiple-databases"),
        "MongoDbSettings.NestingLevel": ("none", "one"),
        "MongoDbSettings.AuthType": ("no", "password"),
        "RedisSettings.SslSecurityProtocol": ("plaintext", "ssl-encryption"),
        "S3Settings.DataFormat": ("csv", "parquet"),
        "S3Settings.CompressionType": ("none", "gzip"),
        "S3Settings.EncryptionMode": ("sse-s3", "sse-kms"),
    },
    "AWS::DMS::ReplicationTask": {"MigrationType": ("full-load", "cdc", "full-load-and-cdc")},
    "AWS::DMS::ReplicationInstance": {"NetworkType": ("ipv4", "dual")},
}
"""Properties that the resource schema takes as any text, and the values that the API takes (in lower case)."""


class UnknownDmsChoice(Rule):
    """Reports a misspelt SslMode, PluginName, EndpointType or other choice of DMS that the schema lets through."""

    id = "E9304"
    shortdesc = "A value that DMS does not know"
    why = "The resource schema takes any text; the DMS API refuses the value when the stack is deployed."
    source = "AWS DMS API reference, 'CreateEndpoint' and 'PostgreSQLSettings'"
    bad = """
    Resources:
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: target, EngineName: postgres, SslMode: verify-fulll}
    """
    good = """
    Resources:
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: target, EngineName: postgres, SslMode: require}
    """

    def _findings(self, template: Template) -> Iterator[Finding]:
        for kind, choices in _CHOICES.items():
            for resource in template.resources(kind):
                for name, allowed in choices.items():
                    for value in template.constants(resource, name):
                        text = value.value
                        if isinstance(text, str) and text.lower() not in allowed and template.possible(value):
                            said = f"{resource.name} has {name} {text!r}{value.source}"
                            yield Finding(value, f"{said}: DMS takes {', '.join(allowed)}")
