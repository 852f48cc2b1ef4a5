"""The functions' packages in the bucket of each region: what was built here, or what a release or a person has named.

A phase's packages lie under its suffix, so that nobody who writes those of one phase writes those of another.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from builders import package
from builders.aws.calls import concurrently
from builders.aws.objects import Objects, StoredObject
from builders.building.packages import PACKAGES_DIR, WHEELS_DIR, publish, trusted
from builders.errors import RolloutError
from builders.naming import ARTIFACTS_BUCKET, PACKAGE_KEY, package_version
from builders.rollout.client import Client
from builders.rollout.model import CurrentState, DesiredState, StackSet, StackSetSpec, Target, Values, grouped
from builders.text import name_list


@dataclass(frozen=True)
class Packaged:
    """A desired state whose functions name the versions of their packages, and a sentence for each that is missing in
    its bucket."""

    desired: DesiredState
    missing: tuple[str, ...] = ()


class _Use(NamedTuple):
    """A package as the functions of a region take it; without a version it is one that was built here."""

    region: str
    bucket: str
    key: str
    version: str


def with_packages(
    client: Client, desired: DesiredState, current: CurrentState, say: Callable[[str], None], *, put: bool = False
) -> Packaged:
    """Let the functions name the packages that were built here, each by the version that has the same SHA-256.

    With `put`, packages that are not there yet are uploaded. A version that a parameter gives is taken as it is. Raises
    `RolloutError` for a key that no function makes, a version that is not there, and another content at a key.
    """
    folder = f"{desired.suffix}/"
    uses = _all_uses(desired, folder)
    if not uses:
        return Packaged(desired)
    built = _built(desired, {use.key for use in uses if not use.version})

    def find(use: _Use) -> StoredObject | None:
        objects = client.objects(use.region)
        if use.version:
            return objects.stored(use.bucket, use.key, use.version)
        if not put:
            return trusted(objects, use.bucket, use.key, package.sha256(built[use.key]))
        stored, is_new = publish(objects, use.bucket, use.key, built[use.key])
        if is_new:
            say(f"put {use.key} into {use.bucket}")
        return stored

    found = dict(concurrently(find, uses))
    missing = [use for use in uses if found[use] is None]
    for use in [each for each in missing if each.version]:
        raise RolloutError(f"s3://{use.bucket}/{use.key} has no version {use.version} in {use.region}; name another")
    versions = {use: each.version if each else "" for use, each in found.items()}
    specs: dict[str, StackSetSpec] = {}
    for layer, spec in desired.sets.items():
        specs[layer], is_later = _with_versions(spec, dict(_uses(spec, folder)), versions, current.sets.get(layer))
        if is_later:
            say(f"{layer}: its functions name the versions of their packages from the next apply on")
    contents = grouped((use.key, each.sha256) for use, each in found.items() if each)
    digests = {key: each[0] for key, each in contents.items() if len(set(each)) == 1}
    digests |= {key: package.sha256(path) for key, path in built.items()}
    keys = tuple(sorted({use.key for use in uses}))
    desired = dataclasses.replace(desired, sets=specs, packages=keys, digests=digests)
    return Packaged(desired, tuple(f"{use.key} is not in {use.bucket} yet" for use in missing))


def require_packages(client: Client, desired: DesiredState) -> None:
    """Refuse to put a release back whose packages are gone, or are not those that it was made with. A release from
    before versions and digests were kept names keys alone: something must be there."""
    for use in _all_uses(desired):
        objects, where = client.objects(use.region), (use.bucket, use.key)
        digest = desired.digests.get(use.key)
        found = trusted(objects, *where, digest, use.version) if digest else objects.stored(*where, use.version)
        if found is None:
            name = f"{use.key}, version {use.version}," if use.version else use.key
            raise RolloutError(f"package {name} is not in {use.bucket} any more; the release cannot be put back")


def require_readers(client: Client, desired: DesiredState) -> None:
    """Raise `RolloutError` for accounts that cannot read a package. Each account is asked, since a bucket policy
    that leaves one out fails its stacks late and slowly."""
    uses: dict[Target, _Use] = {}
    for spec in desired.sets.values():
        for target, found in _uses(spec):
            if found:
                uses.setdefault(target, next(iter(found.values())))

    def can_read(target: Target) -> bool:
        use = uses[target]
        return Objects(client.reading(target), client.calls.account()).readable(use.bucket, use.key, use.version)

    shut_out = sorted(target for target, can in concurrently(can_read, sorted(uses)) if not can)
    if shut_out:
        use = uses[shut_out[0]]
        raise RolloutError(
            f"{name_list(shut_out, 3)} cannot read s3://{use.bucket}/{use.key}; name the accounts in "
            "ReaderAccountIds, or their organization in OrganizationId, of environments/tooling.json and run bootstrap"
        )


def _all_uses(desired: DesiredState, folder: str = "") -> list[_Use]:
    found = [uses for spec in desired.sets.values() for _, uses in _uses(spec, folder)]
    return sorted({use for uses in found for use in uses.values()})


def _uses(spec: StackSetSpec, folder: str = "") -> Iterator[tuple[Target, Mapping[str, _Use]]]:
    """The packages of a layer's functions at each target, by the parameters that take their keys. Those without a
    version lie in the phase's `folder` where one is given."""
    if ARTIFACTS_BUCKET not in spec.parameters:
        return
    keys = [name for name in spec.parameters if name.endswith(PACKAGE_KEY)]
    alike: dict[tuple[str, int], Mapping[str, _Use]] = {}  # most of thousands of targets share their overrides
    for target, overrides in spec.overrides.items():
        shared = target.region, id(overrides)
        if shared not in alike:
            values = spec.values(target)
            alike[shared] = {name: _use(target.region, values, name, folder) for name in keys if values[name]}
        yield target, alike[shared]


def _use(region: str, values: Values, name: str, folder: str) -> _Use:
    key, version = values[name], values.get(package_version(name), "")
    own = key if version or key.startswith(folder) else f"{folder}{key}"
    return _Use(region, values[ARTIFACTS_BUCKET], own, version)


def _built(desired: DesiredState, keys: set[str]) -> dict[str, Path]:
    """The packages of the functions here, by the keys that they have in the phase."""
    functions = {f"{desired.suffix}/{each.key}": each for each in package.available()} if keys else {}
    for key in sorted(keys - functions.keys()):
        raise RolloutError(
            f"no function makes the package {key.removeprefix(f'{desired.suffix}/')}; run `build-templates --package` "
            "and commit what it changes, or name the version of a package that was made elsewhere"
        )
    return {key: package.build(functions[key], PACKAGES_DIR, WHEELS_DIR) for key in sorted(keys)}


def _with_versions(
    spec: StackSetSpec, uses: Mapping[Target, Mapping[str, _Use]], versions: Mapping[_Use, str], state: StackSet | None
) -> tuple[StackSetSpec, bool]:
    """A layer whose parameters name keys and versions, and whether versions can be named at the next time only.

    StackSets takes no override of a parameter that is new in a template: a set that has been deployed without versions
    gets the parameter first, and then what differs between regions.
    """
    if not any(uses.values()):
        return spec, False
    is_later = False
    differing: dict[str, dict[Target, str]] = {}
    for name in [each for each in spec.parameters if each.endswith(PACKAGE_KEY)]:
        found = {target: each[name] for target, each in uses.items() if name in each}
        differing[name] = {target: use.key for target, use in found.items()}
        if (version := package_version(name)) in spec.parameters:
            named = {target: use.version or versions[use] for target, use in found.items()}
            if state and version not in state.parameters and len(set(named.values())) > 1:
                is_later = True
            else:
                differing[version] = named
    commonest = {name: Counter(each.values()).most_common(1)[0][0] for name, each in differing.items() if each}
    own = {**spec.parameters, **commonest}
    overrides: dict[Target, Values] = {}
    shared: dict[tuple[tuple[str, str], ...], Values] = {}
    for target, before in spec.overrides.items():
        given = {name: by_target[target] for name, by_target in differing.items() if target in by_target}
        values = {name: value for name, value in {**before, **given}.items() if given.get(name) != own[name]}
        overrides[target] = shared.setdefault(tuple(sorted(values.items())), values)
    return dataclasses.replace(spec, parameters=own, overrides=overrides), is_later
