"""W9503: a package that CloudFormation never sees change."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT

_HASH_OR_VERSION = re.compile(r"[0-9a-f]{8,}|\d+\.\d+|[-_/]v?\d+[-_./]|^\d", re.IGNORECASE)


class FixedPackageKey(Rule):
    """Reports a literal S3Key without a hash or version in it, and without S3ObjectVersion."""

    id = "W9503"
    shortdesc = "A Lambda package whose key never changes"
    why = "CloudFormation compares keys, not contents: a new package under the old key is never deployed."
    source = "CloudFormation template reference, 'AWS::Lambda::Function Code' (remarks on changes of the package)"
    bad = """
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Code: {S3Bucket: packages, S3Key: rotation.zip}
    """
    good = """
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Code: {S3Bucket: packages, S3Key: rotation/3f786850e387550f.zip}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for function in template.resources("AWS::Lambda::Function"):
            for key in template.constants(function, "Code.S3Key"):
                for version in template.branches(function, "Code.S3ObjectVersion"):
                    fixed = isinstance(key.value, str) and not _HASH_OR_VERSION.search(key.value)
                    if fixed and not key.parameter and version.value is ABSENT and template.possible(key, version):
                        yield RuleFinding(
                            key, f"{function.name} keeps the key {key.value!r}: put the content's hash into it"
                        )
