"""What deployed stacks answered, as files: one a layer, and one flat file of a whole phase."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from builders import files

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
    contents = {outputs_dir / phase / f"{layer}.json": dict(outputs) for layer, outputs in stacks.items()}
    flat = flatten(stacks)
    contents |= {outputs_dir / phase / FLAT: flat, outputs_dir / FLAT: flat}
    for path, content in contents.items():
        files.replace(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    return list(contents)
