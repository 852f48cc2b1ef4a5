"""The stored form: objects of JSON whose bytes depend on their content alone, under the keys of one suffix.

An older version of Stackferry reads what a newer one writes and the other way round, so a field whose name has changed
keeps its key in JSON as an alias.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from builders.aws.errors import Conflict
from builders.aws.objects import ABSENT, Objects
from builders.errors import RolloutError
from builders.rollout.model import Target, Values, grouped, shared_target
from builders.template_bodies import digest

ATTEMPTS = 20
"""Attempts of a change that other writers come before."""

DIGEST_DIGITS = 64

Content = TypeVar("Content")
TargetsByRegion = Annotated[Mapping[str, tuple[str, ...]], Field(alias="places")]
"""{region: accounts}, under the key `places`: there may be thousands of targets."""


@dataclass(frozen=True)
class Folder:
    """The keys of one suffix in a bucket."""

    objects: Objects
    bucket: str
    suffix: str
    phase: str = ""
    """The name in messages."""

    def key(self, name: str) -> str:
        """The key of what belongs to the suffix alone."""
        return f"rollout/{self.suffix}/{name}"

    def url(self, key: str) -> str:
        """The form that messages use."""
        return f"s3://{self.bucket}/{key}"

    def json(self, name: str, empty: Content) -> JsonObject[Content]:
        """The object of a name, as a dataclass; `empty` where it is not there."""
        return JsonObject(self, self.key(name), empty)

    def named(self, key: str, name: str, digits: Container[int], missing: str) -> bytes:
        """The content of an object that is named by the first digits of its digest.

        Raises `RolloutError` with `missing` where it is not there, and where it was changed.
        """
        found = self.objects.get(self.bucket, key)
        if found is None:
            raise RolloutError(missing)
        if len(name) not in digits or not digest(found[0]).startswith(name):
            raise RolloutError(f"{self.url(key)} was changed since it was written; put its first version back")
        return found[0]


@dataclass(frozen=True)
class JsonObject(Generic[Content]):
    """An object of a bucket whose content is a dataclass."""

    folder: Folder
    key: str
    empty: Content

    def read(self) -> tuple[Content, str]:
        """Return the content and its ETag; `empty` and ABSENT where it is not there."""
        found = self.folder.objects.get(self.folder.bucket, self.key)
        if found is None:
            return self.empty, ABSENT
        return from_json(type(self.empty), found[0], self.folder.url(self.key)), found[1]

    def write(self, content: Content, expected: str | None = None) -> str:
        """Write the content, on a condition, and return its ETag. Raises `Conflict`."""
        return self.folder.objects.put(self.folder.bucket, self.key, to_json(content), expected)

    def update(self, change: Callable[[Content], Content]) -> None:
        """Change the content, again when others write meanwhile."""
        for _ in range(ATTEMPTS):
            content, etag = self.read()
            changed = change(content)
            with contextlib.suppress(Conflict):
                if changed != content:
                    self.write(changed, etag)
                return
        url = self.folder.url(self.key)
        raise RolloutError(f"{url} is written by others all the time; run this again when they are done")


@dataclass(frozen=True)
class EqualValues:
    """Targets that share their values."""

    values: Mapping[str, str]
    targets: TargetsByRegion


def by_values(by_target: Mapping[Target, Values]) -> tuple[EqualValues, ...]:
    """Gather targets of equal values; the same mapping gives the same groups in whatever order it was made."""
    gathered = grouped((tuple(sorted(values.items())), target) for target, values in by_target.items())
    return tuple(EqualValues(dict(values), by_region(gathered[values])) for values in sorted(gathered))


def ungrouped(groups: Iterable[EqualValues]) -> dict[Target, Values]:
    """The values of each target again."""
    return {target: group.values for group in groups for target in targets_in(group.targets)}


def by_region(targets: Iterable[Target]) -> dict[str, tuple[str, ...]]:
    """Accounts by region, sorted."""
    accounts = grouped((target.region, target.account) for target in sorted(targets))
    return {region: tuple(accounts[region]) for region in sorted(accounts)}


def targets_in(regions: Mapping[str, Iterable[str]]) -> list[Target]:
    """The targets again."""
    return [shared_target(account, region) for region, accounts in regions.items() for account in accounts]


def to_json(content: Any) -> bytes:
    """A dataclass as JSON."""
    plain = _adapter(type(content)).dump_python(content, mode="json", by_alias=True)
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def from_json(form: type[Content], body: bytes, url: str) -> Content:
    """A dataclass from its JSON. Raises `RolloutError` when it is not of that form."""
    try:
        found: Content = _adapter(form).validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise RolloutError(
            f"{url} is not what this version of stackferry writes (at {at or 'its beginning'}: {first['msg']}); "
            "use the version that wrote it, or put an older version of the object back"
        ) from error
    return found


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(form: Any) -> TypeAdapter[Any]:
    """To make one takes some hundredths of a second, and the journal is written before every call."""
    if form not in _adapters:
        _adapters[form] = TypeAdapter(form)
    return _adapters[form]
