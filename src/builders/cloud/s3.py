"""S3: buckets of templates, their tags, and what keeps one from being deleted."""

from __future__ import annotations

from collections.abc import Mapping

from ministack.core.responses import new_uuid

from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.internals import cloudformation, s3
from builders.cloud.patches import patch_value
from builders.resource_types import Json


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::S3::Bucket]",
    why="the tags of a bucket are forgotten",
)
def _buckets_with_tags(inner: Handlers) -> Handlers:
    def set_tags(physical_id: str, properties: Mapping[str, Json]) -> None:
        s3.bucket_tags[physical_id] = cloudformation.tag_map(properties.get("Tags"))

    return records.around(inner, after=set_tags)


def check_deletion(name: str, _properties: Mapping[str, Json]) -> None:
    """Refuse to delete a bucket that is not empty. Raises ValueError with S3's sentence.

    Source: CloudFormation user guide, "Troubleshooting CloudFormation", "Delete stack fails".
    """
    bucket = s3.buckets.get(name)
    versions = any(owner == name and found for (owner, _), found in s3.object_versions.items())
    if bucket and (bucket["objects"] or versions):
        raise ValueError(
            f"The bucket you tried to delete is not empty (Service: S3, Status Code: 409, Request ID: {new_uuid()})"
        )
