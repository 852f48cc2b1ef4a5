"""Runs cdk-nag's pack of PCI DSS rules over every template with every environment's values: `make nag`.

cdk-nag judges values and not parameters, so each template is first evaluated with each parameter file that it is
deployed with. Its pack is that of PCI DSS 3.2.1, the newest that it has.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import catalog, environments
from builders.evaluate import evaluate
from builders.text import counted_noun

PROJECT = Path(__file__).parent
LIBRARIES = Path("build/cdk_nag/node_modules").absolute()
ENVIRONMENTS = Path("environments")


@dataclass(frozen=True, order=True)
class Violation:
    """A rule of the pack that a resource of a layer breaks. `rule` is without the pack's name in front."""

    layer: str
    resource: str
    rule: str


ACCEPTED: Mapping[Violation, str] = {
    Violation("artifacts", "AccessLogs", "S3BucketReplicationEnabled"): (
        "The log stays beside its bucket, where nobody can take a line out of it; CloudTrail is the second record"
    ),
    Violation("artifacts", "AccessLogs", "S3DefaultEncryptionKMS"): (
        'A bucket of logs has SSE-S3, as the S3 user guide asks ("Enabling Amazon S3 server access logging")'
    ),
    Violation("artifacts", "Bucket", "S3BucketReplicationEnabled"): (
        "The packages are built again from the sources, to the byte; each region has a bucket of its own"
    ),
    Violation("artifacts", "Bucket", "S3DefaultEncryptionKMS"): (
        "The packages hold no data of cards and no secrets; with a key, every account would need a grant on it"
    ),
    Violation("network", "Vpc", "VPCDefaultSecurityGroupClosed"): (
        "CloudFormation cannot change the default group of a VPC; nothing uses it (tests/layers/test_promises.py), "
        "and docs/compliance.md has the commands that empty it"
    ),
}
"""Findings of the pack that are accepted, with the reason."""


def resolved(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each layer that is deployed with a parameter file: its template with the file's values and no condition."""
    file, made = environments.read(path), catalog.assemble()
    exports: dict[str, Any] = {}
    for layer in made.order:
        if made.scopes[layer] in file.scopes:
            evaluated = evaluate(made.templates[layer], file.values, imports=exports, namespace=layer)
            exports |= evaluated.exports
            yield layer, {"Resources": {name: _decided(body, layer) for name, body in evaluated.resources.items()}}


def _decided(body: Mapping[str, Any], layer: str) -> dict[str, Any]:
    """A resource without its condition, and without DependsOn, which may name resources that are not made."""
    return {key: _referring(part, layer) for key, part in body.items() if key not in ("Condition", "DependsOn")}


def _referring(node: Any, layer: str) -> Any:
    """The texts `${layer/Name}` and `${layer/Name.Attribute}` of `evaluate` as the functions that they stand for."""
    if isinstance(node, dict):
        return {key: _referring(value, layer) for key, value in node.items()}
    if isinstance(node, list):
        return [_referring(value, layer) for value in node]
    if not isinstance(node, str) or f"${{{layer}/" not in node:
        return node
    whole = re.fullmatch(rf"\${{{layer}/(\w+)(?:\.([\w.]+))?}}", node)
    if whole:
        return {"Fn::GetAtt": [whole[1], whole[2]]} if whole[2] else {"Ref": whole[1]}
    return {"Fn::Sub": re.sub(rf"\${{(?!{layer}/)", "${!", node).replace(f"${{{layer}/", "${")}


def run(templates: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Violation]]:
    """The violations of templates, by the names that they are given as `environment.layer`."""
    with tempfile.TemporaryDirectory() as folder:
        for name, template in templates.items():
            Path(folder, f"{name}.json").write_text(json.dumps(template), encoding="utf-8")
        command = ["node", str(PROJECT / "check.js"), folder]
        environment = {**os.environ, "NODE_PATH": str(LIBRARIES)}
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found: dict[str, list[Violation]] = {name: [] for name in templates}
    for each in json.loads(ran.stdout):
        name = each["file"].removesuffix(".json")
        violation = Violation(name.partition(".")[2], each["resource"], each["rule"])
        found[name].append(violation)
    return found


def main() -> int:
    """Print what is not accepted, and what is and is found no more; return 1 where there is any, 2 without cdk-nag."""
    if not LIBRARIES.is_dir():
        print("cdk-nag is not installed; make nag installs and runs it", file=sys.stderr)
        return 2
    paths = sorted(ENVIRONMENTS.glob("*.json"))
    templates = {f"{path.stem}.{layer}": template for path in paths for layer, template in resolved(path)}
    findings = complaints(run(templates))
    print("\n".join([*findings, f"{len(templates)} templates with values, {counted_noun(len(findings), 'finding')}"]))
    return 1 if findings else 0


def complaints(found: Mapping[str, Iterable[Violation]]) -> list[str]:
    """Violations that are not accepted, and accepted ones that are found nowhere any more, a sentence each."""
    everywhere = {each for violations in found.values() for each in violations}
    broken = [
        f"{each.layer} with {ENVIRONMENTS / name.partition('.')[0]}.json: {each.resource} breaks {each.rule}"
        for name, violations in found.items()
        for each in sorted(set(violations) - ACCEPTED.keys())
    ]
    superfluous = [
        f"{each.layer}: {each.resource} breaks {each.rule} no more; take it out of ACCEPTED"
        for each in sorted(ACCEPTED.keys() - everywhere)
    ]
    return broken + superfluous


if __name__ == "__main__":
    sys.exit(main())
