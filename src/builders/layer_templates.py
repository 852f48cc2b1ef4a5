"""Templates as files: each has its scope, and the layers that it follows, in its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import files, naming
from builders.errors import EvaluationError, RolloutError, UsageError
from builders.parameter_validation import as_text
from builders.scopes import Scope
from builders.template_bodies import parse_template

_FORM = "build it again with `build-templates`"


@dataclass(frozen=True)
class Template:
    """A layer's template: `body` as it is deployed, `parameters` its Parameters section, `outputs` by name.

    `needs` are the layers that it must follow.
    """

    layer: str
    body: str
    scope: Scope
    needs: frozenset[str]
    parameters: Mapping[str, Mapping[str, Any]]
    outputs: frozenset[str] = frozenset()

    def default(self, parameter: str) -> str | None:
        """The value, as a text, that CloudFormation takes where none is given; None where one must be."""
        default = self.parameters[parameter].get("Default")
        return None if default is None else as_text(default)


def read_templates(directory: Path) -> dict[str, Template]:
    """Every template of a directory by layer, in alphabetical order.

    Raises `RolloutError` for a directory without templates and for a file that does not describe itself.
    """
    found = {}
    for path in sorted(directory.glob("*.json")):
        try:
            found[path.stem] = read_template(path.stem, files.read_text(path))
        except OSError as error:
            raise RolloutError(f"{path} {files.unreadable(error)}") from error
        except UnicodeDecodeError as error:
            raise RolloutError(f"{path} is not UTF-8 text; {_FORM}") from error
    if not found:
        raise UsageError(f"no templates in {directory}; run `build-templates`, or from the project's root")
    return found


def read_template(layer: str, body: str) -> Template:
    """Read one template. Raises `RolloutError` where it is no JSON or lacks its metadata."""
    if not body.lstrip().startswith("{"):
        raise RolloutError(f"the template of {layer} is not JSON; {_FORM}")
    try:
        content = parse_template(body)
        metadata = content["Metadata"][naming.METADATA]
        needs = frozenset(str(need) for need in metadata["Needs"])
        outputs = frozenset(content.get("Outputs", {}))
        parameters = {name: declaration.copy() for name, declaration in content.get("Parameters", {}).items()}
        return Template(layer, body, Scope[metadata["Scope"]], needs, parameters, outputs)
    except EvaluationError as error:
        raise RolloutError(f"the template of {layer} cannot be used: {error}; {_FORM}") from error
    except (KeyError, TypeError, AttributeError) as error:
        message = (
            f"the template of {layer} does not say its scope and needs in Metadata.Stackferry, or its Parameters are "
            f"not an object; {_FORM}"
        )
        raise RolloutError(message) from error
