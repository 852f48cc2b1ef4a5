"""Conditions that look at more than parameters."""

from __future__ import annotations

from collections.abc import Mapping

from ministack.services.cloudformation import engine

from builders.cloud.corrections.replacing import replace
from builders.cloud.schemas import Json


def conditions_of_any_value() -> None:
    """ministack's conditions know parameters and Fn::Select only: `Ref: AWS::Region` is the text "AWS::Region", and
    Fn::FindInMap, Fn::Join, Fn::Split and Fn::Sub are compared unresolved."""

    def evaluate(template: Mapping[str, Json], parameters: Mapping[str, Json]) -> Json:
        mappings = template.get("Mappings") or {}

        def resolved(node: Json) -> Json:
            if isinstance(node, list):
                return [resolved(each) for each in node]
            if not isinstance(node, dict):
                return node
            if "Fn::Equals" in node:
                sides = [
                    engine._resolve_refs(side, {}, parameters, {}, mappings, "", "") for side in node["Fn::Equals"]
                ]
                return {"Fn::Equals": [",".join(side) if isinstance(side, list) else side for side in sides]}
            return {key: resolved(value) for key, value in node.items()}

        return before({**template, "Conditions": resolved(template.get("Conditions") or {})}, parameters)

    before = replace(engine, "_evaluate_conditions", evaluate)
