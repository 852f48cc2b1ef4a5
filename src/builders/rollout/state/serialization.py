"""How the store writes things down: JSON whose bytes depend on the content alone, read back into values."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import pydantic

from builders.errors import RolloutError
from builders.rollout.aws.s3 import Expected
from builders.rollout.model import Target, Values

Form = TypeVar("Form")


class Bucket(Protocol):
    """What the store asks of S3: `client.objects(region)` has it."""

    def get(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """An object and its ETag."""

    def put(self, bucket: str, key: str, body: bytes, if_match: str | Expected | None = None) -> str:
        """Write an object on a condition, and return its ETag. Raises `Conflict`."""

    def exists(self, bucket: str, key: str) -> bool:
        """Whether an object is there."""


@dataclass(frozen=True)
class JsonObject:
    """The objects of one suffix."""

    objects: Bucket
    bucket: str
    suffix: str

    def key(self, name: str) -> str:
        """The key of what belongs to the suffix alone."""
        return f"rollout/{self.suffix}/{name}"

    def where(self, key: str) -> str:
        """The form that messages use."""
        return f"s3://{self.bucket}/{key}"


@dataclass(frozen=True)
class Group:
    """Places that share their values: {region: accounts}. There may be thousands of places and few values."""

    values: Mapping[str, str]
    targets: Mapping[str, tuple[str, ...]]


def grouped(by_place: Mapping[Target, Values]) -> tuple[Group, ...]:
    """Gather places of equal values; the same mapping gives the same groups in whatever order it was made."""
    gathered: dict[tuple[tuple[str, str], ...], list[Target]] = defaultdict(list)
    for target, values in by_place.items():
        gathered[tuple(sorted(values.items()))].append(target)
    return tuple(Group(dict(values), regions_of(gathered[values])) for values in sorted(gathered))


def spread(groups: Iterable[Group]) -> dict[Target, Values]:
    """The values of each place again."""
    return {target: group.values for group in groups for target in places_of(group.targets)}


def regions_of(targets: Iterable[Target]) -> dict[str, tuple[str, ...]]:
    """Accounts by region, sorted."""
    accounts: dict[str, list[str]] = defaultdict(list)
    for target in sorted(targets):
        accounts[target.region].append(target.account)
    return {region: tuple(accounts[region]) for region in sorted(accounts)}


def places_of(regions: Mapping[str, Iterable[str]]) -> list[Target]:
    """The places again."""
    return [Target(account, region) for region, accounts in regions.items() for account in accounts]


def written(value: Any) -> bytes:
    """A dataclass as JSON."""
    plain = _adapter(type(value)).dump_python(value, mode="json")
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def read(form: type[Form], body: bytes, where: str) -> Form:
    """A dataclass from its JSON. Raises `RolloutError` when it is not of that form."""
    try:
        found: Form = _adapter(form).validate_json(body)
        return found
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise RolloutError(
            f"{where} is not what this version of stackferry writes (at {at or 'its beginning'}: {first['msg']}); "
            "use the version that wrote it, or put an older version of the object back"
        ) from error


_adapters: dict[Any, pydantic.TypeAdapter[Any]] = {}


def _adapter(form: Any) -> pydantic.TypeAdapter[Any]:
    """To make one takes some hundredths of a second, and the journal is written before every call."""
    if form not in _adapters:
        _adapters[form] = pydantic.TypeAdapter(form)
    return _adapters[form]
