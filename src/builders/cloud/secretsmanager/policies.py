"""Resource policies of secrets: AWS::SecretsManager::ResourcePolicy, and what PutResourcePolicy refuses.

Sources: Secrets Manager API reference, PutResourcePolicy (MalformedPolicyDocumentException, PublicPolicyException);
CloudFormation template reference, AWS::SecretsManager::ResourcePolicy: Ref is the ARN of the secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.iam import checks as iam
from builders.cloud.internals import secretsmanager
from builders.cloud.patches import patch
from builders.cloud.secretsmanager.secrets import Response, error
from builders.policy_documents import principals, statements
from builders.resource_types import Json

TYPE = "AWS::SecretsManager::ResourcePolicy"


@patch(
    "ministack.services.secretsmanager._put_resource_policy",
    why="any text is a policy, whoever is named in it, and BlockPublicPolicy is ignored",
)
def _put_policy(original: Any, data: Mapping[str, Json]) -> Response:
    response: Response = _refuse(data) or original(data)
    return response


def _refuse(data: Mapping[str, Json]) -> Response | None:
    document = data.get("ResourcePolicy")
    try:
        found = list(iam.read_statements(document))
    except ValueError:
        return error("MalformedPolicyDocumentException", "This resource policy contains invalid Json.")
    if any("Principal" not in each and "NotPrincipal" not in each for each in found):
        return error("MalformedPolicyDocumentException", "This resource policy contains no principal.")
    for statement in found:
        for kind, principal in principals(statement):
            if not iam.exists(kind, principal):
                return error("MalformedPolicyDocumentException", "This resource policy contains an unsupported "
                             "principal.")  # fmt: skip
    everybody = any(
        each["Effect"] == "Allow" and not each.get("Condition") and ("AWS", "*") in principals(each)
        for each in statements(document)
    )
    if data.get("BlockPublicPolicy") in (True, "true") and everybody:
        return error("PublicPolicyException", "You can't use a resource policy that allows broad access to the secret.")
    return None


def handlers() -> Handlers:
    """Return the handlers that put the policy on its secret."""

    def create(_logical_id: str, properties: Mapping[str, Json], _stack: str) -> Made:
        document = properties["ResourcePolicy"]
        text = document if isinstance(document, str) else json.dumps(document)
        arn = _call("PutResourcePolicy", properties, ResourcePolicy=text,
                    BlockPublicPolicy=properties.get("BlockPublicPolicy", False))  # fmt: skip
        return arn, {"Id": arn}

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        return create(logical_id, new, stack)

    def delete(physical_id: str, _properties: Mapping[str, Json]) -> None:
        _, secret = secretsmanager.find(physical_id)
        if secret:
            _call("DeleteResourcePolicy", {"SecretId": physical_id})

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def _call(operation: str, properties: Mapping[str, Json], **more: Json) -> str:
    """Call one of Secrets Manager's operations on a policy and return the ARN of the secret. Raises ValueError."""
    act = secretsmanager.put_policy if operation == "PutResourcePolicy" else secretsmanager.delete_policy
    status, _, body = act({"SecretId": properties["SecretId"], **more})
    answer = json.loads(body)
    if status >= 400:
        raise ValueError(f"{answer.get('message', answer)} (Service: SecretsManager, Status Code: {status})")
    return str(answer["ARN"])
