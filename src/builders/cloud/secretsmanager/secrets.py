"""Secrets Manager's version stages as AWS keeps them, where ministack is simpler.

Source: Secrets Manager API reference, PutSecretValue, GetSecretValue, ListSecretVersionIds; user guide, "What's in a
Secrets Manager secret? - Secret versions".
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners

from builders.resource_types import Json

Response = tuple[int, dict[str, str], bytes]
Secret = dict[str, Any]


def install() -> None:
    """Put these in the place of ministack's; it looks its handlers up by name on every request."""
    get_before, list_before = secretsmanager._get_secret_value, secretsmanager._list_secret_version_ids
    describe_before = secretsmanager._describe_secret
    secretsmanager._get_secret_value = lambda data: _refuse_reading(data) or get_before(data)
    secretsmanager._list_secret_version_ids = lambda data: _without_deprecated(data, list_before(data))
    secretsmanager._describe_secret = lambda data: _with_rotation(data, describe_before(data))
    secretsmanager._put_secret_value = put_secret_value
    secretsmanager._apply_current_promotion = promote
    _name_the_instance_in_attachments()


def has_value(version: Mapping[str, Json]) -> bool:
    """Return whether a version holds a value: one that a rotation has only staged does not."""
    return version.get("SecretString") is not None or version.get("SecretBinary") is not None


def put_secret_value(data: Mapping[str, Json]) -> Response:
    """PutSecretValue: the token is the version's id, twice the same is no error, and a label moves by itself."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
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
        secretsmanager._sync_replicas(secret)
    stages = list(secret["Versions"][token]["Stages"])
    return json_answer({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token, "VersionStages": stages})


def move_stage(secret: Secret, stage: str, token: str) -> None:
    """Attach a label to a version and take it from any other."""
    if stage == "AWSCURRENT":
        promote(secret, token)
        return
    secretsmanager._remove_stage_everywhere(secret, stage, except_version_id=token)
    secretsmanager._add_stage(secret, token, stage)


def promote(secret: Secret, token: str) -> None:
    """Move AWSCURRENT to a version and AWSPREVIOUS to the one that had it; versions without a label stay."""
    current, _ = secretsmanager._find_stage_version(secret, "AWSCURRENT")
    secretsmanager._remove_stage_everywhere(secret, "AWSCURRENT", except_version_id=token)
    secretsmanager._add_stage(secret, token, "AWSCURRENT")
    if current and current != token:
        secretsmanager._remove_stage_everywhere(secret, "AWSPREVIOUS")
        secretsmanager._add_stage(secret, current, "AWSPREVIOUS")
    secretsmanager._emit_secret_label_updated(secret, "AWSCURRENT", token)


def error(code: str, message: str) -> Response:
    """Return an error of the service, HTTP 400."""
    response: Response = error_response_json(code, message, 400)
    return response


def json_answer(body: Mapping[str, Json]) -> Response:
    """Return a success of the service."""
    response: Response = json_response(body)
    return response


def _refuse_reading(data: Mapping[str, Json]) -> Response | None:
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if not secret or secret.get("DeletedDate"):
        return None
    identifier, stage = data.get("VersionId"), data.get("VersionStage")
    if identifier:
        version = secret["Versions"].get(identifier)
        told = f"VersionId: {identifier}"
    else:
        _, version = secretsmanager._find_stage_version(secret, stage or "AWSCURRENT")
        told = f"staging label: {stage or 'AWSCURRENT'}"
    if version and identifier and stage and stage not in version["Stages"]:
        return error(
            "InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId."
        )
    if version is None or not has_value(version):
        return error("ResourceNotFoundException", f"Secrets Manager can't find the specified secret value for {told}")
    return None


def _without_deprecated(data: Mapping[str, Json], response: Response) -> Response:
    """Leave out the versions without a label unless they are asked for."""
    status, _, body = response
    if status >= 400 or data.get("IncludeDeprecated"):
        return response
    answer = json.loads(body)
    answer["Versions"] = [version for version in answer["Versions"] if version["VersionStages"]]
    return json_answer(answer)


def _with_rotation(data: Mapping[str, Json], response: Response) -> Response:
    status, _, body = response
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if status >= 400 or not secret:
        return response
    answer = json.loads(body)
    for name in ("LastRotatedDate", "NextRotationDate"):
        if secret.get(name):
            answer[name] = secret[name]
    return json_answer(answer)


def _name_the_instance_in_attachments() -> None:
    """SecretTargetAttachment also writes dbInstanceIdentifier or dbClusterIdentifier (Secrets Manager user guide,
    "JSON structure of AWS Secrets Manager database credential secrets")."""
    keys = {"AWS::RDS::DBInstance": "dbInstanceIdentifier", "AWS::RDS::DBCluster": "dbClusterIdentifier"}
    before = provisioners._sm_target_connection

    def connection(kind: str, identifier: str) -> dict[str, Json]:
        fields: dict[str, Json] = before(kind, identifier)
        return fields | ({keys[kind]: identifier} if kind in keys else {})

    provisioners._sm_target_connection = connection
    provisioners._SM_TARGET_KEYS = (*provisioners._SM_TARGET_KEYS, *keys.values())
