"""Packages of functions, as `build-templates` makes, names and uploads them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from builders import files, package, progress
from builders.catalog import Assembly
from builders.deploy import AwsCli
from builders.environments import ParameterFile
from builders.errors import UsageError
from builders.findings import Finding

BUILD_DIR = Path("build")
PACKAGES_DIR = BUILD_DIR / "packages"
WHEELS_DIR = BUILD_DIR / "wheels"


def make(lambda_dir: Path, environments_dir: Path) -> dict[str, Path]:
    """Package every function, write the manifest, and put the keys into the parameter files that have them.

    Returns the packages by the template parameter that takes their key.
    """
    functions = package.functions(lambda_dir)
    built: dict[str, Path] = {}
    with progress.bar("packaging", len(functions)) as advance:
        for function in functions:
            built[function.parameter] = package.build(function, PACKAGES_DIR, WHEELS_DIR)
            advance(function.name)
    package.write_manifest(built, PACKAGES_DIR)
    keys = {function.parameter: function.key for function in functions}
    for path in sorted(environments_dir.glob("*.json")):
        _fill_in(path, keys)
    for path in built.values():
        progress.say(f"{path} ({path.stat().st_size / 1024:.0f} KiB)")
    return built


def upload(built: Mapping[str, Path], destinations: Sequence[str]) -> None:
    """Put the packages into buckets given as "region=bucket", by the AWS CLI; what is there already stays.

    Raises `UsageError` for a destination of another form and `DeployError` when the CLI fails.
    """
    buckets = [_region_and_bucket(destination) for destination in destinations]
    for region, bucket in buckets:
        cli = AwsCli(("aws",), {**os.environ, "AWS_REGION": region, "AWS_DEFAULT_REGION": region})
        for path in built.values():
            key = path.relative_to(PACKAGES_DIR).as_posix()
            listed = cli.json("s3api", "list-objects-v2", "--bucket", bucket, "--prefix", key)
            if not listed.get("Contents"):
                cli.run("s3", "cp", "--quiet", str(path), f"s3://{bucket}/{key}")
            progress.say(f"s3://{bucket}/{key}" + (" was there" if listed.get("Contents") else ""))


def findings(
    functions: Iterable[package.Function], made: Assembly, environments: Iterable[ParameterFile]
) -> list[Finding]:
    """Layers that want a package which no function gives, and parameter files with the key of an older one.

    Without any function there is nothing to compare with: whoever builds templates alone gives the keys himself.
    """
    by_parameter = {function.parameter: function for function in functions}
    if not by_parameter:
        return []
    return [*_without_function(by_parameter, made), *_outdated(by_parameter, environments)]


def _without_function(by_parameter: Mapping[str, package.Function], made: Assembly) -> Iterator[Finding]:
    for layer, template in sorted(made.templates.items()):
        for name in template["Parameters"]:
            if name.endswith("PackageKey") and name not in by_parameter:
                packages = ", ".join(sorted(by_parameter))
                message = f"{layer}: no function under lambda/ makes a package for {name}; packages are for {packages}"
                yield Finding("missing-package", message, f"templates/{layer}.json")


def _outdated(by_parameter: Mapping[str, package.Function], environments: Iterable[ParameterFile]) -> Iterator[Finding]:
    for file in environments:
        for name, function in by_parameter.items():
            entry = file.entries.get(name)
            if entry is not None and entry.value != function.key:
                message = (
                    f"{name} is {entry.value}, but lambda/{function.name} has become {function.key}; "
                    "run build-templates --package"
                )
                yield Finding("stale-package", message, str(file.path), entry.line)


def _fill_in(path: Path, keys: Mapping[str, str]) -> None:
    """Replace the values of `keys` where the file has them, and leave every other byte as it is."""
    text = path.read_text(encoding="utf-8")
    filled = text
    for name, key in keys.items():
        filled = re.sub(rf'"{name}=[^"]*"', f'"{name}={key}"', filled)
    if filled != text:
        files.replace(path, filled.encode())
        progress.say(f"{path} names the new packages")


def _region_and_bucket(destination: str) -> tuple[str, str]:
    region, equals, bucket = destination.partition("=")
    if not equals or not region or not bucket:
        raise UsageError(f"--upload {destination} is no region=bucket; write for example eu-central-1=my-artifacts")
    return region, bucket
