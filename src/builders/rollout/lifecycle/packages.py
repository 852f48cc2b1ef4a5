"""The functions' packages, in the bucket of each region, readable by every account of the phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from builders import package
from builders.aws.calls import concurrently
from builders.building.packages import PACKAGES_DIR, WHEELS_DIR
from builders.errors import RolloutError
from builders.naming import ARTIFACTS_BUCKET
from builders.rollout.aws.client import Client
from builders.rollout.model import DesiredState, Target
from builders.text import name_list

LAMBDA = Path("lambda")


def publish_packages(client: Client, desired: DesiredState, say: Callable[[str], None]) -> None:
    """Put the packages that are not there yet into each region's bucket, and see that every account can read them.

    Raises `RolloutError` for a key that no function under lambda/ makes, and for accounts that cannot read.
    """
    missing = list(_missing(client, desired))
    functions = {each.key: each for each in package.functions(LAMBDA)} if missing else {}
    for region, bucket, key in missing:
        if key not in functions:
            raise RolloutError(
                f"package {key} is not in {bucket}, and lambda/ makes none of that content; run `build-templates "
                "--package` and commit what it changes"
            )
        path = package.build(functions[key], PACKAGES_DIR, WHEELS_DIR)
        client.objects(region).put(bucket, key, path.read_bytes())
        say(f"put {key} into {bucket}")
    _require_readers(client, desired)


def require_packages(client: Client, desired: DesiredState) -> None:
    """Refuse to put a release back whose packages are gone."""
    for _, bucket, key in _missing(client, desired):
        raise RolloutError(f"package {key} is not in {bucket} any more; the release cannot be put back")


def _missing(client: Client, desired: DesiredState) -> Iterator[tuple[str, str, str]]:
    """Region, bucket and key of each package that is not where the functions will look for it."""
    for region, bucket in sorted({(target.region, bucket) for target, bucket in _buckets(desired).items()}):
        for key in desired.packages:
            if not client.objects(region).exists(bucket, key):
                yield region, bucket, key


def _buckets(desired: DesiredState) -> dict[Target, str]:
    """The bucket that the functions of each target take their packages from."""
    return {
        target: overrides.get(ARTIFACTS_BUCKET, each.parameters.get(ARTIFACTS_BUCKET, ""))
        for each in desired.sets.values()
        if ARTIFACTS_BUCKET in each.parameters
        for target, overrides in each.overrides.items()
    }


def _require_readers(client: Client, desired: DesiredState) -> None:
    """Ask as each account, since a bucket policy that leaves one out fails its stacks late and slowly."""
    if not desired.packages:
        return
    key, buckets = desired.packages[0], _buckets(desired)

    def can_read(target: Target) -> bool:
        return client.members.can_read(target, buckets[target], key)

    shut_out = sorted(target for target, can in concurrently(can_read, sorted(buckets)) if not can)
    if shut_out:
        raise RolloutError(
            f"{name_list(shut_out, 3)} cannot read s3://{buckets[shut_out[0]]}/{key}; name the accounts in "
            "ReaderAccountIds, or their organization in OrganizationId, of environments/tooling.json and run bootstrap"
        )
