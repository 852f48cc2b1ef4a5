"""Secrets as Secrets Manager and CloudFormation keep them, where ministack is simpler: version stages, generated
passwords, ARNs, attachments.

Sources: Secrets Manager API reference, PutSecretValue, GetSecretValue, ListSecretVersionIds; user guide, "What's in a
Secrets Manager secret? - Secret versions" and "JSON structure of AWS Secrets Manager database credential secrets".
"""

from __future__ import annotations

import json
import re
import secrets
import string
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response

from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.internals import cloudformation, secretsmanager
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


_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}")
_BAD_NAME = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
_DELETED = "You can't create this secret because a secret with this name is already scheduled for deletion."


@patch(
    "ministack.services.secretsmanager._create_secret",
    why="the token is not the version's id, a repeated request is refused, and so is none of the characters of a name",
)
def _create_secret(original: Any, data: Request) -> Response:
    name, token = str(data.get("Name", "")), str(data.get("ClientRequestToken") or "")
    existing = secretsmanager.secrets.get(name)
    if refusal := _refuse_creation(name, existing, data):
        return refusal
    version = existing["Versions"].get(token) if existing and token else None
    if version:
        repeated = json_answer({"ARN": existing["ARN"], "Name": name, "VersionId": token})
        return _same_value(existing, version, token, data) or repeated
    response: Response = original(data)
    status, _, body = response
    answer = json.loads(body)
    if status >= 400:
        return response
    secret = secretsmanager.secrets[name]
    if data.get("SecretString") is None and data.get("SecretBinary") is None:
        secret["Versions"].clear()  # a secret without a value has no version
        return json_answer({"ARN": answer["ARN"], "Name": name})
    if token:
        secret["Versions"] = {token: secret["Versions"].pop(answer["VersionId"])}
    return json_answer({"ARN": answer["ARN"], "Name": name, "VersionId": token or answer["VersionId"]})


def _refuse_creation(name: str, existing: Secret | None, data: Request) -> Response | None:
    if name and not _NAME.fullmatch(name):
        return error("ValidationException", _BAD_NAME)
    if data.get("SecretString") and data.get("SecretBinary"):
        return error(
            "InvalidParameterException",
            "You can't specify both a binary secret value and a string secret value in the same secret.",
        )
    if existing and existing.get("DeletedDate"):
        return error("InvalidRequestException", _DELETED)
    return None


def _same_value(secret: Secret, version: Mapping[str, Json], token: str, data: Request) -> Response | None:
    """Refuse another value under the token of a version (CreateSecret and PutSecretValue, ClientRequestToken)."""
    if all(version.get(key) == data.get(key) for key in ("SecretString", "SecretBinary")):
        return None
    return error(
        "ResourceExistsException",
        f"You can't use ClientRequestToken {token} because that value is already in use for a version of secret "
        f"{secret['ARN']}.",
    )


@patch(
    "ministack.services.secretsmanager._update_secret",
    why="the token is not the id of the new version, and another value under it is taken",
)
def _update_secret(original: Any, data: Request) -> Response:
    token = data.get("ClientRequestToken")
    _, secret = secretsmanager.find(data.get("SecretId"))
    has_new = data.get("SecretString") is not None or data.get("SecretBinary") is not None
    if not (token and secret and has_new) or secret.get("DeletedDate"):
        response: Response = original(data)
        return response
    described = {name: value for name, value in data.items() if name not in ("SecretString", "SecretBinary")}
    status, headers, body = original(described)
    if status >= 400:
        return status, headers, body
    return _put_secret_value(None, {**data, "VersionStages": ["AWSCURRENT"]})


@patch(
    "ministack.services.secretsmanager._delete_secret",
    why="a secret that is not there is an error when deleted without recovery, too (API reference, DeleteSecret)",
)
def _delete_secret(original: Any, data: Request) -> Response:
    _, secret = secretsmanager.find(data.get("SecretId"))
    if secret is None and data.get("ForceDeleteWithoutRecovery"):
        identifier = str(data.get("SecretId"))
        arn = identifier if identifier.startswith("arn:") else secret_arn(identifier)
        return json_answer({"ARN": arn, "Name": identifier.rsplit(":", 1)[-1], "DeletionDate": int(time.time())})
    response: Response = original(data)
    return response


def secret_arn(name: str) -> str:
    """Return the ARN of a new secret; AWS puts six characters behind the name."""
    characters = "".join(secrets.choice(string.ascii_letters) for _ in range(6))
    return f"arn:aws:secretsmanager:{get_region()}:{get_account_id()}:secret:{name}-{characters}"


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
        if refusal := _same_value(secret, version, token, data):
            return refusal
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
    why="the dates of the last and the next rotation are left out, and a secret that never had a rotation says that it "
    "has none",
)
def _describe_secret(original: Any, data: Request) -> Response:
    response: Response = original(data)
    status, _, body = response
    _, secret = secretsmanager.find(data.get("SecretId"))
    if status >= 400 or not secret:
        return response
    answer = json.loads(body)
    if not secret.get("RotationLambdaARN"):
        answer.pop("RotationEnabled", None)  # "never configured for rotation": null (API reference, DescribeSecret)
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
    why="Ref of a secret is its name, not its ARN, a taken name is not refused, and one without a name is called by "
    "its stack and not by its logical id (github.com/aws/aws-cdk, issue 11573)",
)
def _secrets_by_arn(inner: Handlers) -> Handlers:
    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        name = properties.get("Name")
        if name and not _NAME.fullmatch(name):
            raise ValueError(_BAD_NAME)
        taken = secretsmanager.secrets.get(name) if name else None
        if taken and taken.get("DeletedDate"):
            raise ValueError(_DELETED)
        if taken:
            raise ValueError(f"The operation failed because the secret {name} already exists.")
        named = {**properties, "Name": name or _generated_name(logical_id)}
        _, attributes = inner["create"](logical_id, named, stack)
        return attributes["Arn"], attributes

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        kept = _generated_name(logical_id) if old.get("Name") else _name(physical_id)
        named = {**new, "Name": new.get("Name") or kept}
        _, attributes = inner["update"](_name(physical_id), old, named, stack, logical_id)
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


def _generated_name(logical_id: str) -> str:
    return f"{logical_id}-{''.join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12))}"


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


_ATTACHMENT = "AWS::SecretsManager::SecretTargetAttachment"


@patch_value(
    f"ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[{_ATTACHMENT}]",
    why="a secret may be attached twice; the sentence is from github.com/aws/aws-cdk, issue 11040",
)
def _attachments(inner: Handlers) -> Handlers:
    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        _, secret = secretsmanager.find(properties.get("SecretId"))
        if secret and secret["ARN"] in _attached():
            raise ValueError("Secret is already attached to a target. (Service: SecretsManager, Status Code: 400)")
        made: Made = inner["create"](logical_id, properties, stack)
        return made

    return {**inner, "create": create}


def _attached() -> set[str]:
    """The secrets that a stack's attachment has written a target into."""
    return {
        resource.get("PhysicalResourceId", "")
        for stack in cloudformation.stacks.values()
        if stack["StackStatus"] != "DELETE_COMPLETE"
        for resource in (stack.get("_resources") or {}).values()
        if resource.get("ResourceType") == _ATTACHMENT and resource.get("ResourceStatus") != "DELETE_COMPLETE"
    }
