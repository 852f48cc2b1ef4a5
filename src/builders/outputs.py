"""Outputs of deployed stacks as files: one for each layer, and one flat file of a target or a whole phase."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builders import files

FLAT = "flat-outputs.json"

RELIED_ON = (
    "vpcId",
    "rdsEndpoint",
    "dmsReplicationInstanceArn",
    "secretsManagerArn",
    "replicationLagAlarmArn",
    "directConnectVirtualInterfaceId",
    "directConnectAttachmentId",
    "kmsKeyId",
)
"""The flat names that the world outside reads. One whose value does not exist is left out of the file."""

Stacks = Mapping[str, Mapping[str, str]]
"""{layer: {output: value}}"""


def flat_name(output: str) -> str:
    """The flat file's name for a template's output: vpcId for VpcId."""
    return output[:1].lower() + output[1:]


def flatten(stacks: Stacks) -> dict[str, str]:
    """The outputs of all layers under their flat names. Names are unique: `catalog.deploy_order` sees to it."""
    return {flat_name(name): value for outputs in stacks.values() for name, value in outputs.items()}


def write(phase: str, stacks: Stacks, outputs_dir: Path) -> list[Path]:
    """Write `stacks` and return the files.

    They are `<phase>/<layer>.json` and `<phase>/flat-outputs.json`, and `flat-outputs.json` of the phase that was
    written last. Each is replaced as a whole.
    """
    return _put(contents(outputs_dir / phase, stacks) | {outputs_dir / FLAT: flatten(stacks)})


def write_target(folder: Path, stacks: Stacks) -> list[Path]:
    """Write `<layer>.json` and `flat-outputs.json` of one account and region, and return the files.

    Files of layers that no longer exist are deleted, so that a folder holds what is deployed there and nothing else.
    """
    written = _put(contents(folder, stacks))
    for stale in set(folder.glob("*.json")) - set(written):
        stale.unlink()
    return written


def write_document(path: Path, document: Mapping[str, Any]) -> Path:
    """Write one JSON file, replaced as a whole."""
    files.replace(path, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())
    return path


def contents(folder: Path, stacks: Stacks) -> dict[Path, Mapping[str, str]]:
    """The files of a folder: one a layer, and the flat one."""
    return {**{folder / f"{layer}.json": outputs for layer, outputs in stacks.items()}, folder / FLAT: flatten(stacks)}


def _put(found: Mapping[Path, Mapping[str, str]]) -> list[Path]:
    return [write_document(path, content) for path, content in found.items()]
