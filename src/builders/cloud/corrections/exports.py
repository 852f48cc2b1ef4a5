"""Exports that other stacks import."""

from __future__ import annotations

from ministack.services.cloudformation import _exports, _stacks, handlers, stacks

from builders.cloud.corrections.replacing import replace
from builders.cloud.schemas import Json


def exports_in_use_stay() -> None:
    """ministack lets an update change or drop an export that another stack imports, keeps dropped exports, and lets
    two stacks export one name."""
    before = stacks._resolve_stack_outputs

    def resolve(*arguments: Json) -> Json:
        outputs, exports = before(*arguments)
        stack_id = arguments[-1]
        for name in exports:
            owner = _exports.get(name)
            if owner and owner["StackId"] != stack_id:
                other = owner["StackId"].split("/")[1]
                raise ValueError(f"Export with name {name} is already exported by stack {other}. ")
        for name, export in list(_exports.items()):
            if export["StackId"] != stack_id or exports.get(name, {}).get("Value") == export["Value"]:
                continue
            users = _importers(name, stack_id)
            if users:
                verb = "updated" if name in exports else "deleted"
                raise ValueError(f"Export {name} cannot be {verb} as it is in use by {', '.join(users)}")
            if name not in exports:
                _exports.pop(name)
        return outputs, exports

    replace(stacks, "_resolve_stack_outputs", resolve)


def _importers(export: str, stack_id: str) -> list[str]:
    return sorted(
        name
        for name, stack in _stacks.items()
        if stack["StackId"] != stack_id
        and stack["StackStatus"] not in ("DELETE_COMPLETE", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS")
        and export in handlers._imported_export_names(stack, name)
    )
