"""Releases: what a phase was to be, by content, so that it can be put back."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from builders.errors import RolloutError
from builders.rollout.model import DesiredState, PlainStackSpec, StackSetSpec, Values, digest
from builders.rollout.state import serialization
from builders.rollout.state.serialization import Group, JsonObject

ID_DIGITS = 12


@dataclass(frozen=True)
class Release:
    """What is deployed; how (waves, preferences, permissions, order of regions) is not part of it."""

    phase: str
    suffix: str
    sets: Mapping[str, StackSetSpec]
    plain: Mapping[str, PlainStackSpec]
    needs: Mapping[str, frozenset[str]]
    tags: Values
    packages: tuple[str, ...]

    def spec(self, like: DesiredState) -> DesiredState:
        """This release, deployed in the way of another desired state: its waves, preferences and permissions."""
        return dataclasses.replace(
            like,
            phase=self.phase,
            suffix=self.suffix,
            sets=self.sets,
            plain=self.plain,
            needs=self.needs,
            tags=self.tags,
            packages=self.packages,
        )


@dataclass(frozen=True)
class _Set:
    """A set; `template` is the digest of its text, `overrides` are grouped by equal values."""

    name: str
    template: str
    parameters: Mapping[str, str]
    overrides: tuple[Group, ...]


@dataclass(frozen=True)
class _Plain:
    """Plain stacks, likewise."""

    account: str
    template: str
    parameters: tuple[Group, ...]


@dataclass(frozen=True)
class _Manifest:
    phase: str
    suffix: str
    sets: Mapping[str, _Set]
    plain: Mapping[str, _Plain]
    needs: Mapping[str, tuple[str, ...]]
    tags: Mapping[str, str]
    packages: tuple[str, ...]


class Releases:
    """The releases of one suffix."""

    def __init__(self, drawer: JsonObject) -> None:
        self._drawer = drawer

    def save(self, spec: DesiredState) -> str:
        """Keep a release and return its id: 12 hexadecimal digits. Only what is missing is uploaded."""
        name, body = _named(spec)
        texts = {each.template for each in spec.sets.values()} | {each.template for each in spec.plain.values()}
        for text in sorted(texts):
            self._keep(_content(digest(text)), text.encode())
        self._keep(self._key(name), body)  # behind what it names, so that no release lacks anything
        return name

    def load(self, release_id: str) -> Release:
        """A release with its templates. Raises `RolloutError` when it, or what it names, is not there."""
        key = self._key(release_id)
        body = self._get(key, f"there is no release {release_id} of {self._drawer.suffix}")
        if hashlib.sha256(body).hexdigest()[:ID_DIGITS] != release_id:
            raise RolloutError(
                f"{self._drawer.where(key)} was changed since it was written; put its first version back"
            )
        manifest = serialization.read(_Manifest, body, self._drawer.where(key))
        named = {each.template for each in manifest.sets.values()} | {each.template for each in manifest.plain.values()}
        return _release(manifest, {content: self._template(content, release_id) for content in named})

    def _template(self, content: str, release_id: str) -> str:
        text = self._get(_content(content), f"release {release_id} lacks a template").decode()
        if digest(text) != content:
            where = self._drawer.where(_content(content))
            raise RolloutError(f"{where} was changed since it was written; put its first version back")
        return text

    def _keep(self, key: str, body: bytes) -> None:
        if not self._drawer.objects.exists(self._drawer.bucket, key):
            self._drawer.objects.put(self._drawer.bucket, key, body)

    def _get(self, key: str, problem: str) -> bytes:
        found = self._drawer.objects.get(self._drawer.bucket, key)
        if found is None:
            raise RolloutError(f"{problem}: {self._drawer.where(key)} is not there")
        return found[0]

    def _key(self, release_id: str) -> str:
        return self._drawer.key(f"releases/{release_id}.json")


def release_id(spec: DesiredState) -> str:
    """The id that `Releases.save` gives: the same for the same templates, parameters and places."""
    return _named(spec)[0]


def _named(spec: DesiredState) -> tuple[str, bytes]:
    body = serialization.written(_manifest(spec))
    return hashlib.sha256(body).hexdigest()[:ID_DIGITS], body


def _content(content: str) -> str:
    """Templates are shared by all phases: few of them differ."""
    return f"rollout/content/{content}"


def _manifest(spec: DesiredState) -> _Manifest:
    return _Manifest(
        phase=spec.phase,
        suffix=spec.suffix,
        sets={
            layer: _Set(each.name, digest(each.template), each.parameters, serialization.grouped(each.overrides))
            for layer, each in spec.sets.items()
        },
        plain={
            layer: _Plain(each.account, digest(each.template), serialization.grouped(each.parameters))
            for layer, each in spec.plain.items()
        },
        needs={layer: tuple(sorted(needs)) for layer, needs in spec.needs.items()},
        tags=spec.tags,
        packages=tuple(sorted(spec.packages)),
    )


def _release(manifest: _Manifest, templates: Mapping[str, str]) -> Release:
    return Release(
        phase=manifest.phase,
        suffix=manifest.suffix,
        sets={
            layer: StackSetSpec(
                layer, each.name, templates[each.template], each.parameters, serialization.spread(each.overrides)
            )
            for layer, each in manifest.sets.items()
        },
        plain={
            layer: PlainStackSpec(layer, each.account, templates[each.template], serialization.spread(each.parameters))
            for layer, each in manifest.plain.items()
        },
        needs={layer: frozenset(needs) for layer, needs in manifest.needs.items()},
        tags=manifest.tags,
        packages=manifest.packages,
    )
