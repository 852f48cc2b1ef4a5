"""What deployed stacks answered, as files: one a layer, and one flat file of a whole phase."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

FLAT = "flat-outputs.json"


def flat_name(output: str) -> str:
    """The flat file's name for a template's output: vpcId for VpcId."""
    return output[:1].lower() + output[1:]


def flatten(stacks: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The outputs of all layers under their flat names. Names are unique: `catalog.deploy_order` sees to it."""
    return {flat_name(name): value for outputs in stacks.values() for name, value in outputs.items()}


def write(phase: str, stacks: Mapping[str, Mapping[str, str]], outputs_dir: Path) -> list[Path]:
    """Write `stacks`, {layer: {output: value}}, and return the files.

    They are `<phase>/<layer>.json` and `<phase>/flat-outputs.json`, and `flat-outputs.json` of the phase that was
    written last. Each is replaced as a whole.
    """
    files = {outputs_dir / phase / f"{layer}.json": dict(outputs) for layer, outputs in stacks.items()}
    flat = flatten(stacks)
    files |= {outputs_dir / phase / FLAT: flat, outputs_dir / FLAT: flat}
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return list(files)


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader, or a killed process, sees the old text or the new one and nothing between."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
