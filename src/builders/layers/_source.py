"""The on-premises PostgreSQL as parameters: what proves the way to it and what migrates from it ask alike.

None has a default: each is a fact about somebody's database, and a made-up one would deploy.
"""

from __future__ import annotations

from troposphere import And, Equals, Not, Or, Parameter

from builders import naming, parameters
from builders.stack import Stack

_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"


def host() -> Parameter:
    """A name or an IPv4 address; DMS reads it from the secret, and `connectivity` compares the two."""
    return parameters.string(
        "SourceHost",
        "Host name or IPv4 address of the on-premises PostgreSQL, as the secret in SourceSecretArn gives it",
        pattern=rf"^{_LABEL}(\.{_LABEL})*$",
        explanation="a host name such as payments.corp.internal, or an IPv4 address",
        max_length=253,
    )


def port() -> Parameter:
    """The port that `network` opens the way to."""
    return parameters.integer("SourcePort", "Port that the on-premises PostgreSQL listens on", minimum=1, maximum=65535)


def database_name() -> Parameter:
    """The database within the server."""
    return parameters.string(
        "SourceDatabaseName",
        "Name of the on-premises database to migrate",
        pattern="^[A-Za-z_][A-Za-z0-9_$-]{0,62}$",
        explanation="up to 63 letters, digits, underscores, hyphens and dollar signs, beginning with a letter",
        max_length=63,
    )


def secret_arn() -> Parameter:
    """The secret with username, password, host and port (DMS user guide, "Using secrets to access ... endpoints")."""
    return _secret_arn(
        "SourceSecretArn", "ARN of the secret with username, password, host and port of the on-premises PostgreSQL"
    )


def secret_key_arn() -> Parameter:
    """The key of the secret, where it is not the account's own key of Secrets Manager."""
    return _secret_key_arn("SourceSecretKeyArn", "SourceSecretArn")


def declare_fallback(stack: Stack) -> tuple[str, Parameter]:
    """Declare the condition under which the way back is there, and the secret of the user that it writes as.

    The host and the port are those of the source; the source's own user reads and may not write.
    """
    asked_for = Equals(
        stack.parameter(
            parameters.boolean(
                "CreateFallback",
                "Make the replication back to the on-premises PostgreSQL, for the time after the cut-over",
            )
        ).ref(),
        "true",
    )
    secret = stack.parameter(
        _secret_arn(
            "FallbackSecretArn",
            "ARN of the secret of the user that DMS writes to the on-premises PostgreSQL as; needed with "
            "CreateFallback",
            default="",
        )
    )
    has_secret = Not(Equals(secret.ref(), ""))
    stack.rule(
        "FallbackHasASecret",
        has_secret,
        "CreateFallback needs FallbackSecretArn, the secret of a user that writes to the on-premises PostgreSQL",
        when=asked_for,
    )
    # The second half is what the rule says; with it a lint sees that no empty ARN is used.
    return stack.condition("HasFallback", And(asked_for, has_secret)), secret


def fallback_secret_key_arn() -> Parameter:
    """The key of that secret."""
    return _secret_key_arn("FallbackSecretKeyArn", "FallbackSecretArn")


def migrator_secret_arn() -> Parameter:
    """The user of `migrate-database --source-secret`; by default it logs in as the user of DMS."""
    return _secret_arn(
        "MigratorSecretArn",
        "ARN of the secret by which migrate-database logs in to the on-premises PostgreSQL; empty for SourceSecretArn",
        default="",
    )


def migrator_secret_key_arn() -> Parameter:
    """The key of that secret."""
    return _secret_key_arn("MigratorSecretKeyArn", "MigratorSecretArn")


def _secret_arn(name: str, description: str, default: str | None = None) -> Parameter:
    pattern = r"^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}$"
    optional = default is not None
    return parameters.string(
        name,
        description,
        pattern=f"^$|{pattern}" if optional else pattern,
        explanation="the whole ARN of a secret, with the six characters at its end"
        + (", or empty" if optional else ""),
        default=default,
        max_length=2048,
    )


def _secret_key_arn(name: str, secret: str) -> Parameter:
    return parameters.string(
        name,
        f"ARN of the customer-managed key of the secret in {secret}; empty for aws/secretsmanager",
        pattern=r"^$|^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[a-z0-9-]{36,40}$",
        explanation="the ARN of a key, or empty",
        default="",
        max_length=2048,
    )


def certificate() -> Parameter:
    """The root authority above the certificate of the on-premises PostgreSQL: public, so no secret."""
    return parameters.string(
        "SourceCertificatePem",
        "PEM of the root authority above the on-premises PostgreSQL's certificate; empty for SourceSslMode require",
        pattern=r"^$|^-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*$",
        explanation="one certificate, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, or empty",
        default="",
        max_length=naming.PARAMETER_LIMIT_BYTES,
    )


def ssl_mode() -> Parameter:
    """Verified, unless the user says that it cannot be; never without TLS."""
    return parameters.choice(
        "SourceSslMode",
        "verify-full checks the source's certificate and name against SourceCertificatePem; require only encrypts",
        ["verify-full", "require"],
        "verify-full",
    )


def must_be_verifiable(stack: Stack, mode: Parameter, pem: Parameter) -> None:
    """Refuse `ssl_mode` verify-full without `certificate`, before anything is made."""
    stack.rule(
        "SourceCanBeVerified",
        Or(Equals(mode.ref(), "require"), Not(Equals(pem.ref(), ""))),
        "SourceSslMode verify-full needs SourceCertificatePem, the PEM of the root authority above the source's "
        "certificate; SourceSslMode require encrypts without knowing who answers",
    )
