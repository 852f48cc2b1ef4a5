"""Runs the rules over templates that PyPI and npm packages carry, and counts what they say.

    python tests/rules/corpus.py fetch CACHE          download the packages into the folder CACHE
    python tests/rules/corpus.py run CACHE            findings and crashes by rule
    python tests/rules/corpus.py sample CACHE         200 E findings, drawn with a fixed seed, to be judged by hand

The packages are listed here by name; the newest version is taken. Templates that are byte for byte the same count once.
"""

from __future__ import annotations

import collections
import hashlib
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cfnlint.decode import decode
from cfnlint.rules._rule import RuleMatch
from cfnlint.template.template import Template

from builders.rules import all_rules


def _words(text: str) -> list[str]:
    return text.split()


PYPI = _words(
    "cfn-lint cfripper troposphere cloudformation-validator cfn-lint-serverless prowler rdk cloud-radar ecs-composex"
    " aws-service-catalog-puppet aws-service-catalog-factory seed-farmer aws-orbit cumulus humilis lowearthorbit"
    " aws-sam-translator aws-sam-cli cloudformation-cli cfn-policy-validator taskcat aws-parallelcluster moto"
    " stackility aws-cloudformation-diagrams cloudsplaining policyuniverse chalice dagster-aws aws-emr-launch awscli"
)
_PATTERNS = _words(
    "fargate-opensearch lambda-secretsmanager apigateway-lambda eventbridge-lambda eventbridge-sqs s3-stepfunctions"
    " lambda-sns dynamodbstreams-lambda kinesisstreams-lambda cloudfront-s3 wafwebacl-alb lambda-ssmstringparameter"
    " sqs-lambda lambda-dynamodb s3-lambda sns-lambda sns-sqs lambda-s3 lambda-stepfunctions iot-lambda"
    " eventbridge-stepfunctions cognito-apigateway-lambda lambda-elasticsearch-kibana apigateway-sqs"
)
NPM = [
    *_words("aws-cdk @mhlabs/cfn-diagram @aws-cdk/cloudformation-include @mapbox/cloudfriend cdk-nag"),
    *_words("aws-organization-formation @aws-amplify/amplify-category-function @aws-amplify/amplify-category-storage"),
    *(f"@aws-solutions-constructs/aws-{pattern}" for pattern in _PATTERNS),
]
_SUFFIXES = (".json", ".yaml", ".yml", ".template", ".cfn")
_LARGEST = 1_000_000  # bytes; CloudFormation takes no larger template
_SAMPLE, _SEED = 200, 20261123


@dataclass(frozen=True)
class Told:
    """The findings of one rule in one file."""

    rule: str
    file: Path
    finding: RuleMatch


def fetch(cache: Path) -> None:
    """Download and unpack every package; one that cannot be had is named and left out."""
    for name in PYPI:
        target = cache / "pypi" / name
        if not target.exists():
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(target), name]
            if subprocess.run([*command, "--no-binary", ":all:"], capture_output=True, check=False).returncode:
                subprocess.run(command, capture_output=True, check=False)
    for name in NPM:
        target = cache / "npm" / name.replace("/", "_")
        if not target.exists():
            target.mkdir(parents=True)
            subprocess.run(["npm", "pack", "--silent", name], cwd=target, capture_output=True, check=False)
    for folder in sorted((*cache.glob("pypi/*"), *cache.glob("npm/*"))):
        unpack(folder)


def unpack(folder: Path) -> None:
    """Unpack the archives of a package's folder into `unpacked` beside them, once."""
    archives = [path for path in folder.iterdir() if path.suffix in (".gz", ".tgz", ".whl", ".zip")]
    target = folder / "unpacked"
    if not archives:
        print(f"not fetched: {folder.name}")
    for archive in archives if not target.exists() else []:
        if archive.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(target)
        else:
            with tarfile.open(archive) as packed_tar:
                packed_tar.extractall(target, filter="data")


def templates(root: Path) -> Iterator[tuple[Path, Template]]:
    """Every file below a folder that parses as a template, each content once."""
    seen: set[str] = set()
    for file in sorted(path for path in root.rglob("*") if path.suffix in _SUFFIXES and path.is_file()):
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest in seen or len(content) > _LARGEST or b"Resources" not in content:
            continue
        seen.add(digest)
        body, _ = decode(str(file))
        if isinstance(body, dict) and isinstance(body.get("Resources"), dict):
            template = Template(str(file), body)
            if template.transform_pre.get("Transform"):
                template.transform()
            yield file, template


def run(root: Path) -> tuple[list[Told], list[str], int]:
    """All findings, the crashes in words, and the number of templates."""
    rules = [rule() for rule in all_rules()]
    told: list[Told] = []
    crashes: list[str] = []
    count = 0
    for file, template in templates(root):
        count += 1
        for rule in rules:
            try:
                told += [Told(rule.id, file, finding) for finding in rule.match(template)]
            except Exception as error:  # the point of the run: a rule that raises is a defect
                crashes.append(f"{rule.id} {file}: {type(error).__name__}: {error}")
    return told, crashes, count


def sample(told: list[Told]) -> list[Told]:
    """The E findings to judge by hand."""
    errors = sorted(
        (one for one in told if one.rule.startswith("E")),
        key=lambda one: (one.rule, str(one.file), str(one.finding.path)),
    )
    return random.Random(_SEED).sample(errors, min(_SAMPLE, len(errors)))


def main(arguments: list[str]) -> int:
    """Run one of the commands in the module's docstring."""
    if len(arguments) != 2 or arguments[0] not in ("fetch", "run", "sample"):
        print(__doc__)
        return 2
    command, cache = arguments[0], Path(arguments[1])
    if command == "fetch":
        fetch(cache)
        return 0
    told, crashes, count = run(cache)
    if command == "sample":
        for one in sorted(sample(told), key=lambda one: one.rule):
            print(f"{one.rule} {one.file.relative_to(cache)} {one.finding.path_string}\n    {one.finding.message}")
        return 0
    print(f"{count} templates, {len(told)} findings, {len(crashes)} crashes")
    for rule, times in sorted(collections.Counter(one.rule for one in told).items()):
        print(f"{rule} {times}")
    print("\n".join(crashes))
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
