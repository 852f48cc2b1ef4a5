"""Secrets Manager, Lambda and RDS as CloudFormation and their APIs show them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ministack.services import ec2, lambda_svc, rds, secretsmanager
from ministack.services.cloudformation import custom_resource, drift, provisioners

from builders.cloud.cloudformation.records import Handlers, Made
from builders.resource_types import Json


def generated_passwords() -> None:
    """ministack heeds only the length and the excluded characters of GenerateSecretString, and draws from `random`."""

    def secret_string(properties: Mapping[str, Json]) -> str:
        wanted = properties.get("GenerateSecretString")
        if wanted is None:
            return str(properties.get("SecretString", ""))
        template, key = wanted.get("SecretStringTemplate"), wanted.get("GenerateStringKey")
        if bool(template) != bool(key):
            raise ValueError("SecretStringTemplate and GenerateStringKey must be given together")
        status, _, body = secretsmanager._get_random_password(wanted)
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

    provisioners._sm_secret_string = secret_string


def secrets_by_arn(inner: Handlers) -> Handlers:
    """Ref of AWS::SecretsManager::Secret is the ARN; ministack returns the name. A taken name is refused."""

    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        name = properties.get("Name")
        taken = secretsmanager._secrets.get(name) if name else None
        if taken and taken.get("DeletedDate"):
            raise ValueError(
                "You can't create this secret because a secret with this name is already scheduled for deletion."
            )
        if taken:
            raise ValueError(f"The operation failed because the secret {name} already exists.")
        _, known = inner["create"](logical_id, properties, stack)
        return known["Arn"], known

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        name, _ = secretsmanager._resolve(physical_id)
        _, known = inner["update"](name or physical_id, old, new, stack, logical_id)
        return known["Arn"], known

    def delete(physical_id: str, properties: Mapping[str, Json]) -> None:
        name, _ = secretsmanager._resolve(physical_id)
        inner["delete"](name or physical_id, properties)

    def drifted(physical_id: str, properties: Mapping[str, Json]) -> Json:
        name, _ = secretsmanager._resolve(physical_id)
        return read(name or physical_id, properties)

    kind = "AWS::SecretsManager::Secret"
    read, readable = drift._DRIFT_READERS[kind]
    drift._DRIFT_READERS[kind] = drifted, readable
    return {**inner, "create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def logs_exported_by_databases() -> None:
    """DescribeDBInstances of ministack leaves out the exported logs, the key of Performance Insights, and more."""
    before = rds._instance_xml

    def described(instance: Mapping[str, Json]) -> str:
        text = str(before(instance))
        logs = "".join(f"<member>{name}</member>" for name in instance.get("EnableCloudwatchLogsExports") or ())
        more = f"<EnabledCloudwatchLogsExports>{logs}</EnabledCloudwatchLogsExports>"
        for name in ("PerformanceInsightsKMSKeyId", "EngineLifecycleSupport"):
            if instance.get(name):
                more += f"<{name}>{instance[name]}</{name}>"
        return text.replace("<EnabledCloudwatchLogsExports/>", more)

    rds._instance_xml = described


def ports_of_network_acls() -> None:
    """DescribeNetworkAcls of ministack leaves out the ports of an entry."""
    before = ec2._network_acl_entry_xml

    def described(entry: Mapping[str, Json]) -> str:
        ports = entry.get("PortRange")
        more = f"<portRange><from>{ports['From']}</from><to>{ports['To']}</to></portRange>" if ports else ""
        return str(before(entry)).replace("</item>", f"{more}</item>")

    ec2._network_acl_entry_xml = described


def silent_functions_of_custom_resources() -> None:
    """Where the function of a custom resource ends in an error, ministack waits for its answer as CloudFormation does,
    for an hour. Nobody is left to answer: here the resource fails at once, with CloudFormation's words."""
    before = lambda_svc._execute_function_with_config_scope

    def execute(function: Mapping[str, Json], event: Json) -> Json:
        result = before(function, event)
        url = str(event.get("ResponseURL", "")) if isinstance(event, dict) else ""
        if url and result.get("error"):
            waiting = custom_resource._pending.get(url.rsplit("/", 1)[-1])
            if waiting and waiting["result"] is None:
                reason = (
                    "CloudFormation did not receive a response from your custom resource. Please check your logs for "
                    f"requestId [{event['RequestId']}]. The function ended with: {result.get('body')}"
                )
                custom_resource.deliver_response(url.rsplit("/", 1)[-1], {"Status": "FAILED", "Reason": reason})
        return result

    lambda_svc._execute_function_with_config_scope = execute
