"""Parameters: patterns as Java reads them, and the public parameters of Systems Manager, such as images.

Sources: CloudFormation user guide, "Parameters" (AllowedPattern is a regular expression of Java); Java's
documentation of `java.util.regex.Pattern`; Systems Manager user guide, "Discovering public parameters"; Amazon Linux
2023 user guide, "Launching AL2023 using the SSM parameter"; ECS developer guide, "Retrieving Amazon ECS-optimized
Linux AMI metadata"; EKS user guide, "Retrieve recommended Amazon Linux AMI IDs".
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import botocore.session
import regex
from ministack.core.responses import get_region

from builders.cloud.patches import patch
from builders.resource_types import Json

# Classes of Java that another engine does not know, or knows otherwise: `\p{Alpha}` is US-ASCII there.
_JAVA_CLASSES = {
    "ASCII": r"\x00-\x7f", "Alnum": "a-zA-Z0-9", "Alpha": "a-zA-Z", "Blank": r" \t", "Cntrl": r"\x00-\x1f\x7f",
    "Digit": "0-9", "Graph": r"\x21-\x7e", "Lower": "a-z", "Print": r"\x20-\x7e",
    "Punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e", "Space": r" \t\n\x0b\f\r", "Upper": "A-Z", "XDigit": "0-9a-fA-F",
    "javaLowerCase": r"\p{Ll}", "javaUpperCase": r"\p{Lu}", "javaWhitespace": r"\s",
}  # fmt: skip
_JAVA_CLASS = re.compile(r"\\([pP])\{(" + "|".join(_JAVA_CLASSES) + r")\}")
_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|$)", re.S)

# Names of images, below /aws/service.
_IMAGES = tuple(
    re.compile(pattern)
    for pattern in (
        r"ami-amazon-linux-latest/al2023-ami-(minimal-)?kernel-(default|\d+\.\d+)-(x86_64|arm64)",
        r"ami-amazon-linux-latest/amzn2-ami-(minimal-)?(hvm|kernel-\d+\.\d+-hvm)-(x86_64|arm64)-(gp2|gp3|ebs|s3)",
        r"ami-amazon-linux-latest/amzn-ami-(minimal-)?(hvm|pv)-(x86_64|i386)-(gp2|ebs|s3)",
        r"ami-windows-latest/(TPM-|EC2LaunchV2-|amzn2-)?[A-Za-z0-9_.-]+",
        r"ami-macos-latest/[A-Za-z0-9_.-]+",
        r"ecs/optimized-ami/[a-z0-9-]+(/[a-z0-9.-]+)*/(recommended/)?image_id",
        r"ami-windows-latest/[A-Za-z0-9_.-]+/image_id",
        r"eks/optimized-ami/\d\.\d\d/[a-z0-9_/-]+/image_id",
        r"bottlerocket/aws-(ecs|k8s)-[a-z0-9.-]+/(x86_64|arm64)/[a-z0-9.-]+/image_id",
        r"canonical/ubuntu/[a-z0-9-]+/[a-z0-9.-]+/[a-z]+/[a-z0-9.]+/(amd64|arm64)/[a-z0-9]+/[a-z0-9-]+/ami-id",
        r"debian/(release|daily)/\d+/latest/(amd64|arm64)",
        r"(suse|freebsd|redhat|deeplearning|cloud9|marketplace|neuron)/.+",
    )
)
_DESCRIBED = re.compile(r"(ecs/optimized-ami|ami-windows-latest)/[A-Za-z0-9_./-]+/recommended|ecs/optimized-ami/.+")


@functools.cache
def java_pattern(pattern: str) -> Any:
    """Return a pattern of Java as one of ours, to be matched as a whole. Raises ValueError where it is none."""
    text = _QUOTED.sub(lambda quoted: re.escape(quoted[1]), pattern)
    text = _JAVA_CLASS.sub(lambda found: f"[{'^' if found[1] == 'P' else ''}{_JAVA_CLASSES[found[2]]}]", text)
    for flags in (regex.VERSION1, regex.VERSION0):
        try:
            return regex.compile(text.replace("--", r"\-\-"), flags)
        except regex.error as error:
            refusal = str(error)
    raise ValueError(refusal)


@patch(
    "ministack.services.cloudformation.engine._check_parameter_constraints",
    why="an AllowedPattern is read as one of Python, which knows no classes of Java and no && in them",
)
def _check_constraints(original: Any, name: str, definition: Mapping[str, Json], kind: str, value: str) -> None:
    others = {key: each for key, each in definition.items() if key != "AllowedPattern"}
    original(name, others, kind, value)
    pattern = definition.get("AllowedPattern")
    if pattern is None or kind == "Number":
        return
    try:
        compiled = java_pattern(str(pattern))
    except ValueError as error:
        raise ValueError(f"Parameter '{name}' has an invalid AllowedPattern: {error}") from error
    members = [each.strip() for each in value.split(",")] if kind == "CommaDelimitedList" else [value]
    if not all(compiled.fullmatch(each) for each in members):
        refusal = definition.get("ConstraintDescription") or f"must match pattern {pattern}"
        raise ValueError(f"Parameter '{name}' {refusal}")


@patch(
    "ministack.services.ssm._public_parameter",
    why="of AWS's public parameters there are two images of Amazon Linux",
)
def _public_parameter(original: Any, name: str) -> dict[str, Json] | None:
    found: dict[str, Json] | None = original(name)
    path = str(name).rpartition(":parameter")[2]
    value: str | None = None if found else public_value(path)
    if value is None:
        return found
    return {"Name": path, "Type": "String", "DataType": "aws:ec2:image" if value.startswith("ami-") else "text",
            "Value": value, "Version": 1, "LastModifiedDate": 1728518400,
            "ARN": f"arn:aws:ssm:{get_region()}::parameter{path}"}  # fmt: skip


def public_value(path: str) -> str | None:
    """Return the value of a public parameter: an image of this region, or what describes one; None for no such name.

    The ids are made of the name, so they are the same at each look, and none of AWS's own.
    """
    name = str(path).removeprefix("/aws/service/")
    if name == path:
        return None
    image: str = "ami-" + hashlib.sha256(f"{get_region()} {name}".encode()).hexdigest()[:17]
    if any(pattern.fullmatch(name) for pattern in _IMAGES):
        return image
    if _DESCRIBED.fullmatch(name):
        return json.dumps({"image_id": image, "image_name": name, "schema_version": 1})
    return _of_region(name)


def _of_region(name: str) -> str | None:
    """Return what `global-infrastructure/regions/REGION` and the names below it say about a region."""
    found = re.fullmatch(r"global-infrastructure/(?:current-region|regions/([a-z0-9-]+))(?:/(\w+))?", name)
    region = (found[1] or str(get_region())) if found else ""
    described = _regions().get(region)
    values = {"": region, "longName": described, "partition": "aws", "domain": "amazonaws.com",
              "geolocationRegion": region}  # fmt: skip
    return values.get((found and found[2]) or "") if described else None


@functools.cache
def _regions() -> dict[str, str]:
    """Return {region: its long name}, from botocore's endpoints."""
    partition = botocore.session.get_session().get_data("endpoints")["partitions"][0]
    return {name: str(region["description"]) for name, region in partition["regions"].items()}
