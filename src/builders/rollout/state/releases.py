"""Releases: a phase as it was to be, stored by its content, so that it can be put back."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from builders.aws.errors import Conflict
from builders.rollout.model import DesiredState, PlainStackSpec, StackSetSpec
from builders.rollout.state.serialization import (
    DIGEST_DIGITS,
    EqualValues,
    Folder,
    by_values,
    from_json,
    to_json,
    ungrouped,
)
from builders.template_bodies import digest

ID_DIGITS = 32
"""128 bits: nobody finds another release of the same id. Earlier versions of Stackferry gave 12."""

SHORT_ID_DIGITS = 12


@dataclass(frozen=True)
class _Set:
    """A set; `template` is the digest of its text, `overrides` are grouped by equal values."""

    name: str
    template: str
    parameters: Mapping[str, str]
    overrides: tuple[EqualValues, ...]


@dataclass(frozen=True)
class _Plain:
    """Plain stacks, likewise."""

    account: str
    template: str
    parameters: tuple[EqualValues, ...]


@dataclass(frozen=True)
class Release:
    """The deployed part of a desired state: without waves, preferences, permissions and the order of regions.

    `texts` are the templates by their digests, which are stored beside it.
    """

    phase: str
    suffix: str
    sets: Mapping[str, _Set]
    plain: Mapping[str, _Plain]
    needs: Mapping[str, tuple[str, ...]]
    tags: Mapping[str, str]
    packages: tuple[str, ...]
    digests: Mapping[str, str] = field(default_factory=dict)
    texts: Annotated[Mapping[str, str], Field(exclude=True)] = field(default_factory=dict)

    def desired_state(self, like: DesiredState) -> DesiredState:
        """Return this release, deployed in the way of another desired state: its waves, preferences and permissions."""
        texts = self.texts
        return dataclasses.replace(
            like,
            phase=self.phase,
            suffix=self.suffix,
            sets={
                layer: StackSetSpec(layer, each.name, texts[each.template], each.parameters, ungrouped(each.overrides))
                for layer, each in self.sets.items()
            },
            plain={
                layer: PlainStackSpec(layer, each.account, texts[each.template], ungrouped(each.parameters))
                for layer, each in self.plain.items()
            },
            needs={layer: frozenset(needs) for layer, needs in self.needs.items()},
            tags=self.tags,
            packages=self.packages,
            digests=self.digests,
        )


class Releases:
    """The releases of one suffix."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def save(self, desired: DesiredState) -> str:
        """Keep a release and return its id: 32 hexadecimal digits. Only what is missing is uploaded."""
        texts = {each.template for each in desired.sets.values()} | {each.template for each in desired.plain.values()}
        for text in sorted(texts):
            self._keep(_template_key(digest(text)), text.encode())
        body = to_json(_release(desired))
        name = digest(body)[:ID_DIGITS]
        self._keep(self._key(name), body)  # behind what it names, so that no release lacks anything
        return name

    def load(self, release_id: str) -> Release:
        """A release with its templates. Raises `RolloutError` when it, or what it names, is not there."""
        key = self._key(release_id)
        missing = f"there is no release {release_id} of {self._folder.phase}: {self._folder.url(key)} is not there"
        body = self._folder.named(key, release_id, (ID_DIGITS, SHORT_ID_DIGITS), missing)
        found = from_json(Release, body, self._folder.url(key))
        texts = {}
        for name in {each.template for each in found.sets.values()} | {each.template for each in found.plain.values()}:
            key = _template_key(name)
            missing = f"release {release_id} lacks a template: {self._folder.url(key)} is not there"
            texts[name] = self._folder.named(key, name, (DIGEST_DIGITS,), missing).decode()
        return dataclasses.replace(found, texts=texts)

    def _keep(self, key: str, body: bytes) -> None:
        """Write it unless it is there: the bucket lets nobody write over it, and what is there is read before use."""
        if not self._folder.objects.exists(self._folder.bucket, key):
            with contextlib.suppress(Conflict):  # written since, by a colleague or by an attempt whose answer was lost
                self._folder.objects.create(self._folder.bucket, key, body)

    def _key(self, release_id: str) -> str:
        return self._folder.key(f"releases/{release_id}.json")


def release_id(desired: DesiredState) -> str:
    """The id that `Releases.save` gives: the same for the same templates, parameters and targets."""
    return digest(to_json(_release(desired)))[:ID_DIGITS]


def _template_key(name: str) -> str:
    """Templates are shared by all phases: few of them differ."""
    return f"rollout/content/{name}"


def _release(desired: DesiredState) -> Release:
    return Release(
        phase=desired.phase,
        suffix=desired.suffix,
        sets={
            layer: _Set(each.name, digest(each.template), each.parameters, by_values(each.overrides))
            for layer, each in desired.sets.items()
        },
        plain={
            layer: _Plain(each.account, digest(each.template), by_values(each.parameters))
            for layer, each in desired.plain.items()
        },
        needs={layer: tuple(sorted(needs)) for layer, needs in desired.needs.items()},
        tags=desired.tags,
        packages=tuple(sorted(desired.packages)),
        digests=desired.digests,
    )
