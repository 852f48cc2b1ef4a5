"""Properties that ministack's handlers take and then forget, so that no describe call shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from xml.sax.saxutils import escape

from ministack.services import ec2, lambda_svc, s3, sns
from ministack.services.cloudformation import provisioners

from builders.cloud import records
from builders.cloud.records import Handlers
from builders.cloud.schemas import Json


def properties_of_handled_types() -> None:
    """Give topics their key, buckets their tags, functions their key and their VPC."""
    table: dict[str, Handlers] = provisioners._RESOURCE_HANDLERS
    for name, tell in {
        "AWS::Lambda::Function": _function,
        "AWS::S3::Bucket": _bucket,
        "AWS::SNS::Topic": _topic,
    }.items():
        table[name] = records.around(table[name], after=tell)


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
