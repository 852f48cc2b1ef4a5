"""The functions' packages: put into the bucket of each region, and readable by every account of the phase."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builders import package
from builders.building.packages import PACKAGES_DIR, WHEELS_DIR
from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.client.abreast import together
from builders.rollout.engine.watch import Watch
from builders.rollout.model import Desired, Place, some
from builders.rollout.opening import Opened

LAMBDA = Path("lambda")


def publish(opened: Opened, watch: Watch) -> None:
    """Put the packages that are not there yet into each region's bucket, and see that every account can read them.

    Raises `RolloutError` for a key that no function under lambda/ makes, and for accounts that cannot read.
    """
    wanted = opened.wanted
    missing = [
        (region, bucket, key)
        for region, bucket in sorted(opened.buckets.items())
        for key in wanted.packages
        if region in wanted.regions and not opened.client.objects(region).exists(bucket, key)
    ]
    functions = {each.key: each for each in package.functions(LAMBDA)} if missing else {}
    for region, bucket, key in missing:
        if key not in functions:
            raise RolloutError(
                f"package {key} is not in {bucket}, and lambda/ makes none of that content; run `build-templates "
                "--package` and commit what it changes"
            )
        path = package.build(functions[key], PACKAGES_DIR, WHEELS_DIR)
        opened.client.objects(region).upload(bucket, key, path)
        watch.say(f"put {key} into {bucket}")
    _require_readers(opened.client, wanted, opened.buckets)


def require(client: Client, wanted: Desired, buckets: Mapping[str, str]) -> None:
    """Refuse to put a release back whose packages are gone."""
    for region in wanted.regions:
        for key in wanted.packages:
            if not client.objects(region).exists(buckets[region], key):
                raise RolloutError(
                    f"package {key} is not in {buckets[region]} any more; the release cannot be put back"
                )


def _require_readers(client: Client, wanted: Desired, buckets: Mapping[str, str]) -> None:
    """Ask in the name of each account, since a bucket policy that leaves one out fails its stacks late and slowly."""
    if not wanted.packages:
        return
    key = wanted.packages[0]

    def reads(place: Place) -> bool:
        return client.members.can_read(place, buckets[place.region], key)

    shut_out = sorted(place for place, can in together(reads, sorted(wanted.places)) if not can)
    if shut_out:
        raise RolloutError(
            f"{some(shut_out)} cannot read s3://{buckets[shut_out[0].region]}/{key}; name the accounts in "
            "ReaderAccountIds, or their organization in OrganizationId, of environments/tooling.json and run bootstrap"
        )
