"""W9003: a region written into an ARN or a service's host."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders.rules._accounts import ARN, is_name, texts
from builders.rules._rule import Finding, Rule
from builders.rules._template import Template

_REGION = r"(?:af|ap|ca|cn|eu|il|me|mx|sa|us)(?:-gov)?-[a-z]+-\d"
_HOST = re.compile(rf"[\w-]+\.({_REGION})\.amazonaws\.com")
_NAMED = re.compile(rf"(?<![\w.])(?:[\w-]*-)?({_REGION})(?!\w)")
_GLOBAL = ("acm", "wafv2", "waf", "lambda")
"""Services whose ARNs must be those of us-east-1 where CloudFront uses them."""


class WrittenRegion(Rule):
    """Reports a literal region in an ARN, in a name, or in a host of amazonaws.com."""

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

    def _findings(self, template: Template) -> Iterator[Finding]:
        for path, text in texts(template):
            written = {match[1] for match in _HOST.finditer(text)}
            if is_name(path):
                written |= set(_NAMED.findall(text))
            for arn in ARN.finditer(text):
                if re.fullmatch(_REGION, arn["region"]) and (arn["region"], arn["service"]) not in _EVERYWHERE:
                    written.add(arn["region"])
            for region in sorted(written):
                yield Finding(path, f"region {region} is written here: use AWS::Region or a parameter")


_EVERYWHERE = {("us-east-1", service) for service in _GLOBAL}
