"""Properties that ministack's handlers take and then forget, so that no describe call shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

from ministack.services import ec2, lambda_svc, s3, sns
from ministack.services.cloudformation import provisioners

from builders.cloud.records import Handlers, Made
from builders.cloud.schemas import Json

Tell = Callable[[str, Mapping[str, Json]], None]
"""Takes the physical id and the properties, and writes what is missing into the service's store."""


def properties_of_handled_types() -> None:
    """Give topics their key, buckets their tags, functions their key and their VPC."""
    table: dict[str, Handlers] = provisioners._RESOURCE_HANDLERS
    for name, tell in {
        "AWS::Lambda::Function": _function,
        "AWS::S3::Bucket": _bucket,
        "AWS::SNS::Topic": _topic,
    }.items():
        table[name] = _telling(table[name], tell)


def _telling(inner: Handlers, tell: Tell) -> Handlers:
    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        made: Made = inner["create"](logical_id, properties, stack)
        tell(made[0], properties)
        return made

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        arguments = (physical_id, old, new, stack)
        made: Made = inner["update"](*arguments, *([logical_id] if inner.get("update_with_logical_id") else []))
        tell(made[0], new)
        return made

    return {**inner, "create": create, "update": update, "update_with_logical_id": True}


def _topic(physical_id: str, properties: Mapping[str, Json]) -> None:
    attributes = sns._topics[physical_id]["attributes"]
    attributes.pop("KmsMasterKeyId", None)
    if properties.get("KmsMasterKeyId"):
        attributes["KmsMasterKeyId"] = properties["KmsMasterKeyId"]


def _bucket(physical_id: str, properties: Mapping[str, Json]) -> None:
    s3._bucket_tags[physical_id] = provisioners._tag_map(properties.get("Tags"))


def _function(physical_id: str, properties: Mapping[str, Json]) -> None:
    function, _, _ = lambda_svc._get_func_record_for_ref(physical_id)
    config = function["config"]
    config["KMSKeyArn"] = properties.get("KmsKeyArn", "")
    config["VpcConfig"] = lambda_svc._vpc_config_with_id(properties.get("VpcConfig"))


def endpoints_of_vpcs() -> None:
    """DescribeVpcEndpoints of ministack leaves out who may pass: the policy, the groups, and whether names resolve."""
    before = ec2._vpce_fields_xml

    def described(endpoint: Mapping[str, Json], tag: str = "item") -> str:
        policy = endpoint.get("PolicyDocument") or ""
        policy = policy if isinstance(policy, str) else json.dumps(policy)
        groups = "".join(f"<item><groupId>{each}</groupId></item>" for each in endpoint.get("SecurityGroupIds") or ())
        more = (
            f"<policyDocument>{escape(policy)}</policyDocument><groupSet>{groups}</groupSet>"
            f"<privateDnsEnabled>{str(bool(endpoint.get('PrivateDnsEnabled'))).lower()}</privateDnsEnabled>"
        )
        text = str(before(endpoint, tag))
        return text.removesuffix(f"</{tag}>") + more + f"</{tag}>" if text.endswith(f"</{tag}>") else text

    ec2._vpce_fields_xml = described
