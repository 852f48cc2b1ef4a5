"""W9003: a region written into an ARN or a service's host."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders.rules._accounts import ARN, is_name, is_published, texts
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import Path

_REGION = r"(?:af|ap|ca|cn|eu|il|me|mx|sa|us)(?:-gov)?-[a-z]+-\d"
_HOST = re.compile(rf"(?P<service>[\w-]+)\.(?P<region>{_REGION})\.amazonaws\.com")
_NAMED = re.compile(rf"(?<![\w.])(?:[\w-]*-)?({_REGION})(?!\w)")
_GLOBAL = ("acm", "wafv2", "waf", "lambda", "iam", "cloudfront", "route53", "health", "cur", "ecr-public")
"""Services whose ARNs are those of us-east-1 everywhere, or must be where CloudFront uses them."""
_GLOBAL_HOSTS = ("budgets", "ce", "cur", "health", "iam", "organizations", "pricing", "support")
"""Services that answer in us-east-1 alone."""
_DOWNLOADS = re.compile(
    rf"(?:\bs3[.-]|\.s3[.-]?)(?:dualstack\.)?{_REGION}\.amazonaws\.com|\d{{12}}\.dkr\.ecr\.{_REGION}\."
)
"""A bucket and a registry of images, which lie in one region: its host is right from every other one."""


class WrittenRegion(Rule):
    """Reports a literal region in an ARN, in a name, or in a host of amazonaws.com. Buckets and registries from which
    something is downloaded, applications of the Serverless Application Repository, lists that name several regions, and
    what a condition on the region chooses are left alone.
    """

    id = "W9003"
    shortdesc = "A region written into an ARN or a service's host"
    why = "Deployed into another region, the template still points to the first one."
    source = "CloudFormation user guide, 'Pseudo parameters reference'"
    bad = """
    Resources:
      Policy:
        Type: AWS::IAM::ManagedPolicy
        Properties:
          PolicyDocument:
            Statement: [{Effect: Allow, Action: "sqs:SendMessage", Resource: "arn:aws:sqs:eu-west-1:*:payments"}]
    """
    good = """
    Resources:
      Policy:
        Type: AWS::IAM::ManagedPolicy
        Properties:
          PolicyDocument:
            Statement:
              - Effect: Allow
                Action: sqs:SendMessage
                Resource: !Sub "arn:${AWS::Partition}:sqs:${AWS::Region}:*:payments"
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        by_region = {
            name for name, condition in template.section("Conditions").items() if "AWS::Region" in repr(condition)
        }
        for path, text in texts(template):
            written = _regions_in(path, text)
            if written and not _is_one_of_several(template, path, text) and not _is_chosen(template, path, by_region):
                for region in sorted(written):
                    yield RuleFinding(path, f"region {region} is written here: use AWS::Region or a parameter")


def _regions_in(path: Path, text: str) -> set[str]:
    written = {
        host["region"]
        for host in _HOST.finditer(_DOWNLOADS.sub("", text))
        if (host["region"], host["service"]) not in {("us-east-1", service) for service in _GLOBAL_HOSTS}
    }
    if is_name(path):
        written |= set(_NAMED.findall(text))
    for arn in ARN.finditer(text):
        of_its_publisher = is_published(arn) and arn["rest"] != "layer"
        if re.fullmatch(_REGION, arn["region"]) and (arn["region"], arn["service"]) not in _EVERYWHERE:
            written |= set() if of_its_publisher else {arn["region"]}
    return written


def _is_one_of_several(template: Template, path: Path, text: str) -> bool:
    """Return whether the text stands in a list with others that differ from it by nothing but the region, or have
    none: the list means several regions on purpose.
    """
    without = _blank(text)
    for end in range(len(path) - 1, 0, -1):
        if isinstance(path[end], int):
            node: object = template.body
            for key in path[:end]:
                node = node[key]  # type: ignore[index]
            others = [_blank(other) for other in node if isinstance(other, str)] if isinstance(node, list) else []
            return others.count(without) > 1
    return False


def _blank(text: str) -> str:
    return re.sub(rf"[.:]{_REGION}(?=[.:])|(?<=[.:]){_REGION}(?=[.:])", "", text)


def _is_chosen(template: Template, path: Path, by_region: set[str]) -> bool:
    """Return whether a condition on the region decides that the text is there."""
    resource = template.resource(str(path[1]))
    conditions = {str(resource.body.get("Condition"))} if resource else set()
    node: object = template.body
    for key, following in zip(path, [*path[1:], None], strict=True):
        node = node[key]  # type: ignore[index]
        if key == "Fn::If" and isinstance(node, list) and isinstance(following, int):
            conditions.add(str(node[0]))
    return bool(conditions & by_region)


_EVERYWHERE = {("us-east-1", service) for service in _GLOBAL}
