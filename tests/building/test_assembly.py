"""All layers are built whatever happens to one of them, and each mistake is a finding with its location."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from builders.catalog import assemble

MakePackage = Callable[..., ModuleType]

TOPIC = """
def build(stack):
    stack.add(sns.Topic("Topic"))
"""
TAGS_ITSELF = """
def build(stack):
    stack.add(sns.Topic("Topic", Tags=Tags(Owner="me")))
"""
EXPORTS_VPC = """
VPC_ID = Export("network", "VpcId", "the VPC")
def build(stack):
    stack.export(VPC_ID, "vpc-1")
"""
IMPORTS_VPC = """
from .network import VPC_ID
def build(stack):
    stack.add(sns.Topic("Topic", TopicName=stack.import_value(VPC_ID)))
"""
RAISES = """
def helper():
    raise RuntimeError("no way")

def build(stack):
    helper()
"""


def messages(package: ModuleType) -> dict[str, list[str]]:
    return {name: [found.message for found in findings] for name, findings in assemble(package).findings.items()}


def test_every_layer_is_built_in_the_order_in_which_they_deploy(make_layers: MakePackage) -> None:
    made = assemble(make_layers(database=IMPORTS_VPC, network=EXPORTS_VPC))
    assert made.order == ["network", "database"]
    assert made.findings == {"database": [], "network": []}
    assert made.templates["network"]["Outputs"]["VpcId"]["Value"] == "vpc-1"


def test_one_layers_mistake_does_not_hide_anothers(make_layers: MakePackage) -> None:
    package = make_layers(one=RAISES, two=TAGS_ITSELF, three=TOPIC, four="import nowhere")
    assert messages(package) == {
        "one": ["one: the builder failed: RuntimeError: no way"],
        "two": ["two: Topic brings its own tags; leave them to Stack.add"],
        "three": [],
        "four": ["four: the module cannot be imported: ModuleNotFoundError: No module named 'nowhere'"],
    }


def test_layers_that_fail_have_no_template_and_the_others_do(make_layers: MakePackage) -> None:
    made = assemble(make_layers(one=RAISES, three=TOPIC))
    assert (made.unbuilt, list(made.templates)) == (["one"], ["three"])


@pytest.mark.parametrize(("source", "line"), [(RAISES, 6), (TAGS_ITSELF, 6)])
def test_a_mistake_is_found_at_its_line_in_the_layers_own_module(
    make_layers: MakePackage, source: str, line: int
) -> None:
    package = make_layers(broken=source)
    (finding,) = assemble(package).findings["broken"]
    assert (finding.file, finding.line) == (f"{package.__path__[0]}/broken.py", line)


def test_layers_that_do_not_fit_together_are_found_though_each_builds(make_layers: MakePackage) -> None:
    package = make_layers(database=IMPORTS_VPC, network="VPC_ID = Export('network', 'VpcId', 'the VPC')" + TOPIC)
    assert messages(package)["database"] == ["database: imports VpcId of network, which network does not export"]


def test_layers_in_a_circle_still_have_templates(make_layers: MakePackage) -> None:
    made = assemble(make_layers(one="AFTER = ('two',)" + TOPIC, two="AFTER = ('one',)" + TOPIC))
    assert sorted(made.templates) == made.order == ["one", "two"]
    assert [found.message for findings in made.findings.values() for found in findings] in (
        ["one: layers wait for each other in a circle: one -> two -> one"],
        ["two: layers wait for each other in a circle: two -> one -> two"],
    )


def test_a_layer_that_imports_from_one_that_failed_is_not_blamed(make_layers: MakePackage) -> None:
    package = make_layers(network=EXPORTS_VPC + "    raise RuntimeError('no way')\n", database=IMPORTS_VPC)
    assert messages(package) == {"network": ["network: the builder failed: RuntimeError: no way"], "database": []}
