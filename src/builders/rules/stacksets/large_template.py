"""W9702: a template that needs a bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, ClassVar

from builders.naming import TEMPLATE_LIMIT_BYTES
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class LargeTemplate(Rule):
    """Reports a file of more than 51,200 bytes, when the option `enabled` is true."""

    id = "W9702"
    shortdesc = "A template too large to be sent inline"
    why = "A larger body goes through an S3 bucket that every administrator of the stack set must be able to read."
    source = "CloudFormation user guide, 'Understand CloudFormation quotas', template body size in a request"
    options: ClassVar[dict[str, Any]] = {"enabled": False, "bytes": TEMPLATE_LIMIT_BYTES}
    bad = """
    # with -x W9702:enabled=true,W9702:bytes=64
    Resources:
      Topic: {Type: "AWS::SNS::Topic"}
    """
    good = """
    # with -x W9702:enabled=true
    Resources:
      Topic: {Type: "AWS::SNS::Topic"}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        filename = template.cfn.filename
        if self.config["enabled"] and isinstance(filename, str) and os.path.isfile(filename):
            size = os.path.getsize(filename)
            if size > self.config["bytes"]:
                yield RuleFinding((), f"the template has {size} bytes, and {self.config['bytes']} can be sent inline")
