"""E9021: an output that answers with a placeholder."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._placeholders import placeholder_in
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class PlaceholderOutput(Rule):
    """Reports an output whose value is a made-up id, a reserved name or address, or a word such as placeholder.
    An output that only repeats a parameter's default is left alone.
    """

    id = "E9021"
    shortdesc = "An output that answers with a placeholder"
    why = (
        "Whoever reads the output believes it. Where there is no value there should be no output: give it a condition."
    )
    source = "CloudFormation user guide, 'Outputs', Condition"
    bad = """
    Resources: {}
    Outputs:
      DirectConnectVirtualInterfaceId: {Value: dxvif-xxxxxxxx}
    """
    good = """
    Parameters:
      VirtualInterfaceId: {Type: String, Default: ""}
    Conditions:
      HasInterface: !Not [!Equals [!Ref VirtualInterfaceId, ""]]
    Resources: {}
    Outputs:
      DirectConnectVirtualInterfaceId: {Condition: HasInterface, Value: !Ref VirtualInterfaceId}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for name, output in template.outputs.items():
            if not isinstance(output, dict) or "Value" not in output:
                continue
            for value in template.resolver.constants(output["Value"], ("Outputs", str(name), "Value")):
                said = value.value if isinstance(value.value, str) and value.parameter is None else ""
                reason = placeholder_in(said) if said else None
                if reason and template.possible(value):
                    message = f"output {name} answers {said!r}, {reason}"
                    yield RuleFinding(value, f"{message}: answer with a resource, or leave the output out")
