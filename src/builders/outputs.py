"""Outputs of deployed stacks as files: one for each layer, and one flat file of a target or a whole phase.

outputs/<phase>/<account>/<region>/   what stands in one target: <layer>.json and flat-outputs.json
outputs/<phase>/                      the same, where a phase has one target, or where the demo wrote it
outputs/flat-outputs.json             that of the phase of one target that was written last
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from builders import files
from builders.errors import UsageError
from builders.scopes import Target
from builders.text import name_list, unknown_name

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

_OF_ITS_TARGET = ("replicationTaskArn", "dmsReplicationInstanceArn", "secretsManagerArn", "replicationLagAlarmArn")
"""ARNs that stand in every phase, and name its account and region."""

Stacks = Mapping[str, Mapping[str, str]]
"""{layer: {output: value}}"""


def of_stack(found: Mapping[str, Any]) -> dict[str, str]:
    """The outputs of a stack as DescribeStacks has it."""
    return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}


def flat_name(output: str) -> str:
    """The flat file's name for a template's output: vpcId for VpcId."""
    return output[:1].lower() + output[1:]


def flatten(stacks: Stacks) -> dict[str, str]:
    """The outputs of all layers under their flat names. Names are unique: `catalog.deploy_order` sees to it."""
    return {flat_name(name): value for outputs in stacks.values() for name, value in outputs.items()}


def as_parameters(stack: Mapping[str, str]) -> dict[str, str]:
    """The outputs of a stack as parameters of other layers, which have the same names but for one."""
    found = dict(stack)
    if "TransitVirtualInterfaceId" in found:
        # Two layers put the interface out, and an output's name belongs to one.
        found["DirectConnectVirtualInterfaceId"] = found["TransitVirtualInterfaceId"]
    return found


def write(phase: str, stacks: Stacks, outputs_dir: Path) -> list[Path]:
    """Write `stacks` and return the files.

    They are `<phase>/<layer>.json` and `<phase>/flat-outputs.json`, and `flat-outputs.json` of the phase that was
    written last. Each is replaced as a whole.
    """
    return _put(contents(_of_phase(phase, outputs_dir), stacks) | {outputs_dir / FLAT: flatten(stacks)})


def write_target(folder: Path, stacks: Stacks) -> list[Path]:
    """Write `<layer>.json` and `flat-outputs.json` of one account and region, and return the files.

    Files of layers that no longer exist are deleted, so that a folder holds what is deployed there and nothing else.
    """
    written = _put(contents(folder, stacks))
    for stale in set(folder.glob("*.json")) - set(written):
        stale.unlink()
    return written


def write_targets(
    phase: str, found: Mapping[Target, Stacks], outputs_dir: Path, others: Collection[Target] = ()
) -> dict[Target, list[Path]]:
    """Write the folder of each target, and return its files.

    `others` are further targets of the phase, whose files stay as they are. The files of a phase of one target are
    written as `write` does, too; of several targets there are none that would be read for all of them.
    """
    if len(found) == 1 and not others:
        write(phase, next(iter(found.values())), outputs_dir)
    elif len(found) + len(others) > 1:
        _forget_single(phase, {layer for stacks in found.values() for layer in stacks}, outputs_dir)
    return {target: write_target(_folder(phase, target, outputs_dir), stacks) for target, stacks in found.items()}


def _forget_single(phase: str, layers: Collection[str], outputs_dir: Path) -> None:
    """Delete what `write` wrote while the phase had one target."""
    alone, last = _of_phase(phase, outputs_dir) / FLAT, outputs_dir / FLAT
    if alone.exists() and last.exists() and files.read_bytes(alone) == files.read_bytes(last):
        last.unlink()
    for path in (alone, *(_of_phase(phase, outputs_dir) / f"{layer}.json" for layer in layers)):
        path.unlink(missing_ok=True)


def targets(phase: str, outputs_dir: Path) -> dict[Target, Path]:
    """The targets of a phase that have a folder, with its flat file."""
    found = {Target(*path.parts[-3:-1]): path for path in _of_phase(phase, outputs_dir).glob(f"*/*/{FLAT}")}
    return {target: path for target, path in sorted(found.items()) if re.fullmatch("[0-9]{12}", target.account)}


def keep_only(phase: str, standing: Collection[Target], outputs_dir: Path) -> None:
    """Delete the files of the phase's other targets, of which nothing stands any more."""
    for target, path in targets(phase, outputs_dir).items():
        if target not in standing:
            for file in path.parent.glob("*.json"):
                file.unlink()


def phases(outputs_dir: Path) -> list[str]:
    """The phases of which outputs were written, in alphabetical order."""
    every = [*outputs_dir.glob(f"*/{FLAT}"), *outputs_dir.glob(f"*/*/*/{FLAT}")]
    return sorted({path.relative_to(outputs_dir).parts[0] for path in every})


def find(
    phase: str, outputs_dir: Path, account: str | None = None, region: str | None = None
) -> tuple[Path, dict[str, str]] | None:
    """The flat file of one target of a phase and its content; None where no file of the phase was written.

    Raises `UsageError` where an account and a region choose none or several of its targets, and for a file that is no
    flat file.
    """
    chosen = _chosen(phase, outputs_dir, account, region)
    if not chosen:
        return None
    if len(chosen) > 1:
        named = name_list([f"{_named(target)} ({path})" for target, path in chosen.items()])
        raise UsageError(f"phase {phase} has several targets: {named}; choose one by --account and --region")
    (path,) = chosen.values()
    return path, read_flat(path)


def every_target(phase: str, outputs_dir: Path, account: str | None = None, region: str | None = None) -> list[Target]:
    """The targets of a phase that an account and a region choose. Raises `UsageError` where they choose none of those
    that were written."""
    return list(_chosen(phase, outputs_dir, account, region))


def _chosen(phase: str, outputs_dir: Path, account: str | None, region: str | None) -> dict[Target, Path]:
    found = targets(phase, outputs_dir)
    alone = _of_phase(phase, outputs_dir) / FLAT
    if alone.exists():
        # It is never older than the folder of the same target: `write_targets` writes it first.
        flat = read_flat(alone)
        same = (target for target, path in found.items() if _has(path, flat))
        found[next(same, target_of(flat))] = alone
    chosen = {
        target: path
        for target, path in found.items()
        if account in (None, target.account) and region in (None, target.region)
    }
    if found and not chosen:
        asked = " in ".join(filter(None, [account, region]))
        named = name_list([_named(target) for target in found])
        raise UsageError(f"phase {phase} has no target {asked}; its targets are {named}")
    return chosen


def _has(path: Path, flat: Mapping[str, str]) -> bool:
    """Return whether a flat file has this content; one that cannot be read is for whoever asks for its target."""
    try:
        return read_flat(path) == flat
    except UsageError:
        return False


def _named(target: Target) -> str:
    return f"{target.account} in {target.region}" if target.account else "one of which no ARN tells the account"


def unknown_phase(phase: str, outputs_dir: Path) -> str:
    """The beginning of the sentence about a phase of which no file was written."""
    known = phases(outputs_dir)
    return unknown_name("phase", phase, known) if known else f"no outputs of phase {phase!r} are in {outputs_dir}"


def read_flat(path: Path) -> dict[str, str]:
    """The content of a flat file. Raises `UsageError` where it is none."""
    try:
        flat = json.loads(files.read_text(path))
    except OSError as error:
        raise UsageError(f"{path} {files.unreadable(error)}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not JSON: {error}; write it again by rollout-stacksets outputs or write-outputs"
        ) from error
    again = "write it again by rollout-stacksets outputs or write-outputs"
    if not isinstance(flat, dict):
        raise UsageError(f"{path} is not a JSON object; {again}")
    if wrong := [name for name, value in flat.items() if not isinstance(value, str)]:
        raise UsageError(f"{path} has {name_list(wrong)} with a value that is not a string; {again}")
    return flat


def target_of(flat: Mapping[str, str]) -> Target:
    """The account and region of a phase's outputs, by the ARNs among them; empty where there is none yet."""
    arns = (flat.get(name, "").split(":") for name in _OF_ITS_TARGET)
    return next((Target(arn[4], arn[3]) for arn in arns if len(arn) > 5), Target("", ""))


def write_document(path: Path, document: Mapping[str, Any]) -> Path:
    """Write one JSON file, replaced as a whole."""
    files.replace(path, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())
    return path


def contents(folder: Path, stacks: Stacks) -> dict[Path, Mapping[str, str]]:
    """The files of a folder: one a layer, and the flat one."""
    return {**{folder / f"{layer}.json": outputs for layer, outputs in stacks.items()}, folder / FLAT: flatten(stacks)}


def _folder(phase: str, target: Target, outputs_dir: Path) -> Path:
    return _of_phase(phase, outputs_dir) / target.account / target.region


def _of_phase(phase: str, outputs_dir: Path) -> Path:
    """The folder of a phase. Raises `UsageError` for a name by which a path would lead elsewhere."""
    if phase in ("", ".", "..") or any(each in phase for each in "/\\\0"):
        raise UsageError(f"{phase!r} is not the name of a phase; give one without slashes, such as dev")
    return outputs_dir / phase


def _put(found: Mapping[Path, Mapping[str, str]]) -> list[Path]:
    return [write_document(path, content) for path, content in found.items()]
