"""Packages of functions, as `build-templates` makes, names and uploads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from builders import files, naming, package, progress
from builders.aws.calls import Access, ApiCalls
from builders.aws.errors import Conflict
from builders.aws.objects import Objects, StoredObject
from builders.building import sbom
from builders.environments import ParameterFile
from builders.errors import RolloutError, UsageError
from builders.findings import Finding

if TYPE_CHECKING:
    from builders.catalog import Assembly  # the rollout, which uploads packages, does not wait for troposphere

_OWN_FOLDER = 2
"""Slashes in the key of a package that was not built here: it lies below a folder of its own."""

BUILD_DIR = Path("build")
PACKAGES_DIR = BUILD_DIR / "packages"
WHEELS_DIR = BUILD_DIR / "wheels"


def make(lambda_dir: Path, environments_dir: Path) -> dict[str, Path]:
    """Package every function, write the manifest, and put the keys into the parameter files that have them.

    Of those that come with Stackferry only the ones that a parameter file names. Beside each package lies its bill of
    materials. Returns the packages by the template parameter that takes their key.
    """
    named = "".join(files.read_bytes(path).decode(errors="replace") for path in sorted(environments_dir.glob("*.json")))
    own = {function.name for function in package.functions(lambda_dir)}
    functions = [each for each in package.available(lambda_dir) if each.name in own or f'"{each.parameter}=' in named]
    built: dict[str, Path] = {}
    with progress.bar("packaging", len(functions)) as advance:
        for function in functions:
            made = package.build(function, PACKAGES_DIR, WHEELS_DIR)
            sbom.write(function, made, package.wheels(function, WHEELS_DIR))
            built[function.parameter] = made
            advance(function.name)
    package.write_manifest(built, PACKAGES_DIR)
    keys = {function.parameter: function.key for function in functions}
    files_of_phases = sorted(environments_dir.glob("*.json"))
    for path in files_of_phases:
        _fill_in(path, keys)
    if not files_of_phases:
        progress.say(f"no parameter file in {environments_dir} that could name the packages")
    for path in built.values():
        progress.say(f"{path} ({path.stat().st_size / 1024:.0f} KiB)")
    return built


def upload(
    built: Mapping[str, Path],
    destinations: Sequence[str],
    environments_dir: Path,
    open_objects: Callable[[str], Objects] = lambda region: Objects(ApiCalls(Access(region)).session()),
) -> None:
    """Put the packages into buckets given as "region=bucket", by boto3's standard credentials; what is there stays.

    Parameter files of such a bucket that have `...PackageVersion` get the version that S3 gave. Raises `UsageError` for
    a destination of another form, and `RolloutError` where something else lies at a key, or AWS refuses.
    """
    for region, bucket in [_region_and_bucket(destination) for destination in destinations]:
        versions: dict[str, str] = {}
        objects = open_objects(region)
        for parameter, path in built.items():
            key = path.relative_to(PACKAGES_DIR).as_posix()
            stored, is_new = publish(objects, bucket, key, path)
            versions[naming.package_version(parameter)] = stored.version
            progress.say(f"s3://{bucket}/{key} version {stored.version or 'none'}{'' if is_new else ' was there'}")
        for file in sorted(environments_dir.glob("*.json")):
            if f'"{naming.ARTIFACTS_BUCKET}={bucket}"' in files.read_text(file):
                _fill_in(file, versions)


def publish(objects: Objects, bucket: str, key: str, built: Path) -> tuple[StoredObject, bool]:
    """Put a package into a bucket unless it is there; return its version, and whether it is new.

    Raises `RolloutError` where something else is there, which nobody overwrites.
    """
    digest = package.sha256(built)
    found = trusted(objects, bucket, key, digest)
    if found is not None:
        return found, False
    try:
        return objects.create(bucket, key, built.read_bytes()), True
    except Conflict:  # somebody was first, or an attempt of ours whose answer was lost
        found = trusted(objects, bucket, key, digest)
        if found is None:
            raise
        return found, False


def trusted(objects: Objects, bucket: str, key: str, digest: str, version: str = "") -> StoredObject | None:
    """The version of a package, if it is the one with that SHA-256; None where nothing is there.

    Raises `RolloutError` where something else is there.
    """
    found = objects.stored(bucket, key, version)
    if found is not None and found.sha256 != digest:
        raise RolloutError(
            f"s3://{bucket}/{key}, version {found.version or 'none'}, is not the package that was built: its SHA-256 "
            f"is {found.sha256}, and that of the package {digest}; find out in CloudTrail who wrote it, hide it by "
            f"`aws s3api delete-object --bucket {bucket} --key {key}`, and run this again"
        )
    return found


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
            if name.endswith(naming.PACKAGE_KEY) and name not in by_parameter:
                packages = ", ".join(sorted(by_parameter))
                message = f"{layer}: no function makes a package for {name}; packages are for {packages}"
                yield Finding("missing-package", message, f"templates/{layer}.json")


def _outdated(by_parameter: Mapping[str, package.Function], environments: Iterable[ParameterFile]) -> Iterator[Finding]:
    for file in environments:
        for name, function in by_parameter.items():
            entry = file.entries.get(name)
            if entry is not None and entry.value != function.key and entry.value.count("/") < _OWN_FOLDER:
                message = (
                    f"{name} is {entry.value}, but the function {function.name} has become {function.key}; "
                    "run build-templates --package"
                )
                yield Finding("stale-package", message, str(file.path), entry.line)


def _fill_in(path: Path, keys: Mapping[str, str]) -> None:
    """Replace the values of `keys` where the file has them, and leave every other byte as it is."""
    try:
        text = files.read_bytes(path).decode()  # with the line ends that it has
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    filled = text
    for name, key in keys.items():
        # A key below another folder is that of a package which somebody else has made, as a signer does.
        filled = re.sub(rf'"{name}=[^"/]*(/[^"/]*)?"', f'"{name}={key}"', filled)
    if filled != text:
        files.replace(path.resolve(), filled.encode())  # a link stays one
        progress.say(f"{path} names the packages")


def _region_and_bucket(destination: str) -> tuple[str, str]:
    region, equals, bucket = destination.partition("=")
    if not equals or not region or not bucket:
        raise UsageError(f"--upload {destination} is not region=bucket; write, for example, eu-central-1=my-artifacts")
    return region, bucket
