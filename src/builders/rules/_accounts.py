"""Account ids, regions and partitions that are written into names, ARNs and policies."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders.rules._template import Template, walk
from builders.rules._values import Path

MADE_UP = {digit * 12 for digit in "0123456789"} | {
    *("012345678901", "012345678910", "123456789012", "123456789101", "210987654321", "098765432109", "987654321098"),
    *("111122223333", "444455556666", "777788889999"),
}
"""Ids that AWS's own pages use as examples, and ids of one digit: nobody's account."""

AWS_ACCOUNTS = frozenset(
    re.findall(
        r"\d+",
        """
    098369216593 754344448648 582318560864 600734575887 383597477331 718504428378 114774131450 783225319266 589379963580
    985666609251 638102146993 037604701340 054676820928 897822967062 635631232127 156460612806 652711504416 009996457667
    076674570225 507241528517 127311923021 033677994240 190560391635 048591011584 027434742980 797873946194
    386209384616 806199016981
    137112412989 099720109477 801119661308 591542846629 602401143452 763104351884 679593333241
    """,
    )
)
"""Accounts of AWS that a policy or an image has to name: those that deliver a load balancer's logs, by region (Elastic
Load Balancing user guide, "Enable access logs for your Application Load Balancer"), the one that delivers billing
reports (AWS Billing user guide, "Setting up an Amazon S3 bucket for Cost and Usage Reports"), the one that tells of
changed IP ranges (Amazon VPC user guide, "AWS IP address ranges notifications"), and owners of images
(Amazon Linux, Canonical, Windows, ECS, EKS, Deep Learning Containers, AWS Marketplace).
"""

ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*|\$\{[^}]+\})?:(?P<service>[\w-]+):(?P<region>[\w*-]*|\$\{[^}]+\}):(?P<account>\d{12}|[^:]*):"
    r"(?P<rest>\w*)"
)
_ACCOUNT = re.compile(r"\d{12}")
_ACCOUNT_IN_NAME = re.compile(r"(?<!\d)\d{12}(?!\d)")
_ACCOUNT_KEYS = {"AWS", "AccountId", "SourceAccount", "aws:SourceAccount", "AWS:SourceAccount", "aws:PrincipalAccount"}


def texts(template: Template) -> Iterator[tuple[Path, str]]:
    """Every text in a resource's properties or an output's value, as it is written, with where it is written.

    Those of a side of Fn::If that no deployment takes are left out.
    """
    for resource in template.resources():
        for path, node in walk(resource.properties, ("Resources", resource.name, "Properties")):
            if isinstance(node, str) and not _is_prose(path) and template.reaches(path):
                yield path, node
    for name, output in template.outputs.items():
        if isinstance(output, dict):
            for path, node in walk(output.get("Value"), ("Outputs", str(name), "Value")):
                if isinstance(node, str) and template.reaches(path):
                    yield path, node


def account_ids(template: Template) -> Iterator[tuple[Path, str]]:
    """The literal account ids in ARNs and names, and those that are alone as a principal or a source account; without
    those of publishers, whose things are found in their own account only.
    """
    for path, text in texts(template):
        for arn in ARN.finditer(text):
            if _ACCOUNT.fullmatch(arn["account"] or "") and not is_published(arn):
                yield path, arn["account"]
        if is_name(path):
            yield from ((path, account) for account in _ACCOUNT_IN_NAME.findall(text) if "arn:" not in text)
        if _ACCOUNT.fullmatch(text) and _ACCOUNT_KEYS & set(map(str, path)):
            yield path, text


def is_published(arn: re.Match[str]) -> bool:
    """Return whether an ARN names what its publisher made for others: an application of the Serverless Application
    Repository, a layer, or an image, a rule or a product that AWS keeps.
    """
    of_a_publisher = arn["service"] == "serverlessrepo" or (arn["service"], arn["rest"]) == ("lambda", "layer")
    return of_a_publisher or arn["account"] in AWS_ACCOUNTS


def is_name(path: Path) -> bool:
    """Return whether a text is, perhaps inside Fn::Sub or Fn::Join, in a property that names something."""
    keys = [part for part in path if isinstance(part, str) and not part.startswith("Fn::")]
    return keys[-1].endswith(("Name", "Identifier")) and keys[-1] != "DisplayName"


def _is_prose(path: Path) -> bool:
    return any(isinstance(part, str) and part.endswith(("Description", "ZipFile", "Comment")) for part in path)
