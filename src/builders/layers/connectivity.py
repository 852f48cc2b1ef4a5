"""The proof that DMS will reach both databases and AWS, from its own subnets and in its own security group."""

from __future__ import annotations

from typing import Any

from troposphere import Equals, If, Not, NoValue, Sub
from troposphere.cloudformation import CustomResource

from builders import parameters
from builders.layers import _custom_resource, _functions, _source
from builders.layers.database import DATABASE_NAME, ENDPOINT_ADDRESS
from builders.layers.foundation import KEY_ARN
from builders.layers.network import DMS_SECURITY_GROUP_ID
from builders.layers.secrets import DMS_SECRET_ARN
from builders.stack import Scope, Stack

SCOPE = Scope.PHASE

# Through the endpoints AWS is reached, DMS's user must be there before it can log in, and without the phase's routes
# nothing leads to on-premises.
AFTER = ("endpoints", "database_users", "phase_routes")

TIMEOUT_SECONDS = 900
"""The most that Lambda gives: the patience, once over the ways one after the other, and the answer."""
MOST_PATIENCE_SECONDS = 600

PROVEN_ENDPOINTS = ("secretsmanager", "dms")
"""The interface endpoints that are always there. S3's gateway is proven by the answer, which goes through it."""


class Connectivity(CustomResource):
    """Ways that were gone to their end, by `lambda/connectivity_check`."""

    resource_type = "Custom::Connectivity"
    props = {  # noqa: RUF012 troposphere reads it from the class
        **_custom_resource.PROPERTIES,
        "Source": (dict, True),
        "Target": (dict, True),
        "Endpoints": (list, True),
        "PatienceSeconds": (str, True),
    }


def build(stack: Stack) -> None:
    """Try every way that DMS will go, and fail with the reason where one does not lead to its end."""
    settings = _functions.Settings.declare(
        stack, "connectivity_check", DMS_SECURITY_GROUP_ID, _functions.FailedEvents.FAIL_STACK
    )
    source = _source_database(stack)
    target = {
        # At the port that the secret names: an export that is imported could not change with the port.
        "Host": stack.import_value(ENDPOINT_ADDRESS),
        "DatabaseName": stack.import_value(DATABASE_NAME),
        "SecretArn": stack.import_value(DMS_SECRET_ARN),
    }
    patience = stack.parameter(
        parameters.integer(
            "ConnectivityPatienceSeconds",
            "Seconds for which a way that does not lead to its end yet is tried again",
            minimum=0,
            maximum=MOST_PATIENCE_SECONDS,
            default=120,
        )
    )
    behind = _functions.add(
        stack,
        "ConnectivityFunction",
        settings,
        description="Proves that DMS will reach source, target and the endpoints",
        statements=_functions.reading_statements(
            [source["SecretArn"], target["SecretArn"]], [stack.import_value(KEY_ARN), _key_of_source(stack)]
        ),
        timeout_seconds=TIMEOUT_SECONDS,
    )
    _custom_resource.add(
        stack,
        Connectivity,
        "WaysOfDms",
        behind,
        settings,
        Source=source,
        Target=target,
        Endpoints=[Sub(f"{service}.${{AWS::Region}}.${{AWS::URLSuffix}}") for service in PROVEN_ENDPOINTS],
        PatienceSeconds=patience.ref(),
    )


def _source_database(stack: Stack) -> dict[str, Any]:
    """The on-premises database, by the same parameters as in `migration`."""
    mode, pem = stack.parameter(_source.ssl_mode()), stack.parameter(_source.certificate())
    _source.must_be_verifiable(stack, mode, pem)
    return {
        "Host": stack.parameter(_source.host()).ref(),
        "Port": stack.parameter(_source.port()).ref(),
        "DatabaseName": stack.parameter(_source.database_name()).ref(),
        "SecretArn": stack.parameter(_source.secret_arn()).ref(),
        "SslMode": mode.ref(),
        "CertificatePem": pem.ref(),
    }


def _key_of_source(stack: Stack) -> If:
    """The key of the source's secret where it has one of its own; aws/secretsmanager lets the whole account use it."""
    key = stack.parameter(_source.secret_key_arn()).ref()
    return If(stack.condition("HasSourceSecretKey", Not(Equals(key, ""))), key, NoValue)
