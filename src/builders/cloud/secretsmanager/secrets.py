"""Secrets as Secrets Manager and CloudFormation keep them, where ministack is simpler: version stages, generated
passwords, ARNs, attachments.

Sources: Secrets Manager API reference, PutSecretValue, GetSecretValue, ListSecretVersionIds; user guide, "What's in a
Secrets Manager secret? - Secret versions" and "JSON structure of AWS Secrets Manager database credential secrets".
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json, json_response

from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.internals import secretsmanager
from builders.cloud.patches import patch, patch_value
from builders.resource_types import Json

Response = tuple[int, dict[str, str], bytes]
Secret = dict[str, Any]
Request = Mapping[str, Json]
Drift = tuple[Callable[..., Json], frozenset[str]]
"""The function that reads a resource, and the properties that it reads."""

_IDENTIFIERS = {"AWS::RDS::DBInstance": "dbInstanceIdentifier", "AWS::RDS::DBCluster": "dbClusterIdentifier"}
"""The key of a secret that names the database it is attached to."""


def error(code: str, message: str) -> Response:
    """Return an error of the service, HTTP 400."""
    response: Response = error_response_json(code, message, 400)
    return response


def json_answer(body: Mapping[str, Json]) -> Response:
    """Return a success of the service."""
    response: Response = json_response(body)
    return response


def has_value(version: Mapping[str, Json]) -> bool:
    """Return whether a version holds a value: one that a rotation has only staged does not."""
    return version.get("SecretString") is not None or version.get("SecretBinary") is not None


@patch(
    "ministack.services.secretsmanager._put_secret_value",
    why="a second value under one token replaces the first, and a label may stay on two versions",
)
def _put_secret_value(_original: Any, data: Request) -> Response:
    _, secret = secretsmanager.find(data.get("SecretId"))
    if not secret:
        return error("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    if secret.get("DeletedDate"):
        return error(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        )
    token = data.get("ClientRequestToken") or str(uuid.uuid4())
    value = {"SecretString": data.get("SecretString"), "SecretBinary": data.get("SecretBinary")}
    version = secret["Versions"].get(token)
    if version and has_value(version):
        if {key: version.get(key) for key in value} != value:
            return error(
                "ResourceExistsException",
                f"You can't use ClientRequestToken {token} because that value is already in use for a version of "
                f"secret {secret['ARN']}.",
            )
    else:
        stages = version["Stages"] if version else []
        secret["Versions"][token] = {**value, "CreatedDate": int(time.time()), "Stages": stages}
        for stage in data.get("VersionStages") or ["AWSCURRENT"]:
            move_stage(secret, stage, token)
        secret["LastChangedDate"] = int(time.time())
        secretsmanager.sync_replicas(secret)
    stages = list(secret["Versions"][token]["Stages"])
    return json_answer({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token, "VersionStages": stages})


def move_stage(secret: Secret, stage: str, token: str) -> None:
    """Attach a label to a version and take it from any other."""
    if stage == "AWSCURRENT":
        secretsmanager.promote(secret, token)
        return
    secretsmanager.remove_stage(secret, stage, except_version_id=token)
    secretsmanager.add_stage(secret, token, stage)


@patch(
    "ministack.services.secretsmanager._apply_current_promotion",
    why="a version that loses its last label is deleted, and the new current version loses AWSPENDING",
)
def _promote(_original: Any, secret: Secret, token: str) -> None:
    current, _ = secretsmanager.find_version(secret, "AWSCURRENT")
    secretsmanager.remove_stage(secret, "AWSCURRENT", except_version_id=token)
    secretsmanager.add_stage(secret, token, "AWSCURRENT")
    if current and current != token:
        secretsmanager.remove_stage(secret, "AWSPREVIOUS")
        secretsmanager.add_stage(secret, current, "AWSPREVIOUS")
    secretsmanager.announce_stage(secret, "AWSCURRENT", token)


@patch(
    "ministack.services.secretsmanager._get_secret_value",
    why="a version without a value, which a rotation has only staged, is read as if it had one",
)
def _get_secret_value(original: Any, data: Request) -> Response:
    return _refuse_reading(data) or original(data)


def _refuse_reading(data: Request) -> Response | None:
    _, secret = secretsmanager.find(data.get("SecretId"))
    if not secret or secret.get("DeletedDate"):
        return None
    identifier, stage = data.get("VersionId"), data.get("VersionStage")
    if identifier:
        version = secret["Versions"].get(identifier)
        named = f"VersionId: {identifier}"
    else:
        _, version = secretsmanager.find_version(secret, stage or "AWSCURRENT")
        named = f"staging label: {stage or 'AWSCURRENT'}"
    if version and identifier and stage and stage not in version["Stages"]:
        return error(
            "InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId."
        )
    if version is None or not has_value(version):
        return error("ResourceNotFoundException", f"Secrets Manager can't find the specified secret value for {named}")
    return None


@patch(
    "ministack.services.secretsmanager._list_secret_version_ids",
    why="versions without a label are listed, whether or not they are asked for",
)
def _list_versions(original: Any, data: Request) -> Response:
    response: Response = original(data)
    status, _, body = response
    if status >= 400 or data.get("IncludeDeprecated"):
        return response
    answer = json.loads(body)
    answer["Versions"] = [version for version in answer["Versions"] if version["VersionStages"]]
    return json_answer(answer)


@patch(
    "ministack.services.secretsmanager._describe_secret",
    why="the dates of the last and the next rotation are left out",
)
def _describe_secret(original: Any, data: Request) -> Response:
    response: Response = original(data)
    status, _, body = response
    _, secret = secretsmanager.find(data.get("SecretId"))
    if status >= 400 or not secret:
        return response
    answer = json.loads(body)
    for name in ("LastRotatedDate", "NextRotationDate"):
        if secret.get(name):
            answer[name] = secret[name]
    return json_answer(answer)


@patch(
    "ministack.services.cloudformation.provisioners._sm_secret_string",
    why="of GenerateSecretString only the length and the excluded characters count, and `random` makes the password",
)
def _secret_string(_original: Any, properties: Mapping[str, Json]) -> str:
    generate = properties.get("GenerateSecretString")
    if generate is None:
        return str(properties.get("SecretString", ""))
    template, key = generate.get("SecretStringTemplate"), generate.get("GenerateStringKey")
    if bool(template) != bool(key):
        raise ValueError("SecretStringTemplate and GenerateStringKey must be given together")
    status, _, body = secretsmanager.random_password(generate)
    answer = json.loads(body)
    if status >= 400:
        raise ValueError(str(answer.get("message", answer)))
    if not template:
        return str(answer["RandomPassword"])
    try:
        fields = json.loads(template)
    except ValueError as error:
        raise ValueError(f"SecretStringTemplate is not JSON: {error}") from error
    return json.dumps({**fields, key: answer["RandomPassword"]})


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::SecretsManager::Secret]",
    why="Ref of a secret is its name, not its ARN, and a taken name is not refused",
)
def _secrets_by_arn(inner: Handlers) -> Handlers:
    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        name = properties.get("Name")
        taken = secretsmanager.secrets.get(name) if name else None
        if taken and taken.get("DeletedDate"):
            raise ValueError(
                "You can't create this secret because a secret with this name is already scheduled for deletion."
            )
        if taken:
            raise ValueError(f"The operation failed because the secret {name} already exists.")
        _, attributes = inner["create"](logical_id, properties, stack)
        return attributes["Arn"], attributes

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        _, attributes = inner["update"](_name(physical_id), old, new, stack, logical_id)
        return attributes["Arn"], attributes

    def delete(physical_id: str, properties: Mapping[str, Json]) -> None:
        inner["delete"](_name(physical_id), properties)

    return {**inner, "create": create, "update": update, "update_with_logical_id": True, "delete": delete}


@patch_value(
    "ministack.services.cloudformation.drift._DRIFT_READERS[AWS::SecretsManager::Secret]",
    why="drift detection reads a secret by its name, and Ref is its ARN here",
)
def _drift_by_arn(original: Drift) -> Drift:
    read, readable = original
    return lambda physical_id, properties: read(_name(physical_id), properties), readable


def _name(identifier: str) -> str:
    name, _ = secretsmanager.find(identifier)
    return str(name or identifier)


@patch(
    "ministack.services.cloudformation.provisioners._sm_target_connection",
    why="SecretTargetAttachment does not write which instance or cluster it attaches",
)
def _target_connection(original: Any, kind: str, identifier: str) -> dict[str, Json]:
    fields: dict[str, Json] = original(kind, identifier)
    return fields | ({_IDENTIFIERS[kind]: identifier} if kind in _IDENTIFIERS else {})


@patch_value(
    "ministack.services.cloudformation.provisioners._SM_TARGET_KEYS",
    why="the keys that a detached secret loses are those that ministack writes",
)
def _target_keys(original: tuple[str, ...]) -> tuple[str, ...]:
    return (*original, *_IDENTIFIERS.values())
