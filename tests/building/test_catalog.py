"""Layers are found by walking a package, and deploy in the order that their imports and `AFTER` demand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from troposphere import Parameter, sns

from builders import catalog, layers
from builders.catalog import Layer
from builders.errors import LayerError, UsageError
from builders.scopes import Scope
from builders.stack import Export, Stack

MakePackage = Callable[..., ModuleType]

TOPIC = """
def build(stack):
    stack.add(sns.Topic("Topic"))
"""

VPC_ID = Export("network", "VpcId", "the VPC")
KEY_ARN = Export("foundation", "KeyArn", "the key")


def layer(
    name: str,
    *,
    exports: tuple[Export, ...] = (),
    imports: tuple[Export, ...] = (),
    after: tuple[str, ...] = (),
    scope: Scope = Scope.PHASE,
) -> Layer:
    """A layer that does nothing but export and import."""

    def build(stack: Stack) -> None:
        for export in exports:
            stack.export(export, "value")
        for number, export in enumerate(imports):
            stack.add(sns.Topic(f"Topic{number}", TopicName=stack.import_value(export)))

    return Layer(name, scope, build, f"The layer {name}.", after)


def order(*made: Layer) -> list[str]:
    return catalog.deploy_order({one.name: one.build() for one in made}, made)


def breaches(*made: Layer, unbuilt: tuple[str, ...] = ()) -> list[str]:
    stacks = {one.name: one.build() for one in made}
    return [str(error) for _, error in catalog.breaches(stacks, made, unbuilt)]


def test_every_module_of_the_package_is_a_layer_but_those_with_an_underscore(make_layers: MakePackage) -> None:
    package = make_layers(network=TOPIC, foundation=TOPIC, _shared="")
    assert catalog.layer_names(package) == ["foundation", "network"]


def test_the_layers_of_stackferry_are_found_without_a_package_being_named() -> None:
    assert catalog.layer_names() == catalog.layer_names(layers)
    assert "network" in catalog.layer_names()


def test_a_template_is_described_by_the_first_line_of_its_module(make_layers: MakePackage) -> None:
    package = make_layers(network=TOPIC)
    source = Path(package.__path__[0], "network.py")
    source.write_text(f'"""The VPC of a phase.\n\nMore about it."""\n{source.read_text()}')
    assert catalog.load("network", package).build().to_dict()["Description"] == "The VPC of a phase."


def test_an_unknown_layer_is_refused_with_the_list_and_the_closest_name(make_layers: MakePackage) -> None:
    package = make_layers(network=TOPIC, foundation=TOPIC)
    with pytest.raises(
        UsageError, match=r"^unknown layer 'netwrok', did you mean 'network'\? layers are foundation, network$"
    ):
        catalog.load("netwrok", package)


def test_an_unknown_layer_that_is_like_none_is_refused_with_the_list(make_layers: MakePackage) -> None:
    package = make_layers(network=TOPIC)
    with pytest.raises(UsageError, match=r"^unknown layer 'x'; layers are network$"):
        catalog.load("x", package)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("SCOPE = None\n" + TOPIC, "^broken: a layer module needs SCOPE = Scope.<...> and build\\(stack\\)$"),
        ("del SCOPE\n" + TOPIC, "^broken: a layer module needs SCOPE = Scope.<...> and build\\(stack\\)$"),
        ("", "^broken: a layer module needs SCOPE = Scope.<...> and build\\(stack\\)$"),
        ("import nowhere", "^broken: the module cannot be imported: ModuleNotFoundError: No module named 'nowhere'$"),
        ("def build(:", "^broken: the module cannot be imported: SyntaxError: invalid syntax"),
    ],
)
def test_a_module_that_is_no_layer_is_refused(make_layers: MakePackage, source: str, message: str) -> None:
    package = make_layers(broken=source)
    with pytest.raises(LayerError, match=message):
        catalog.load("broken", package)


def test_modules_that_import_each_other_in_a_circle_are_refused(make_layers: MakePackage) -> None:
    package = make_layers(
        one="from .two import B\nA = 1\n" + TOPIC,
        two="from .one import A\nB = 1\n" + TOPIC,
    )
    with pytest.raises(LayerError, match=r"^one: the module cannot be imported: ImportError: .*circular import"):
        catalog.load("one", package)


def _raise(stack: Stack) -> None:
    raise RuntimeError("no\nway")


def _exit(stack: Stack) -> None:
    raise SystemExit("done")


def _add_without_a_required_property(stack: Stack) -> None:
    stack.add(sns.SubscriptionResource("Subscription"))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_raise, "^broken: the builder failed: RuntimeError: no way$"),
        (_exit, r"^broken: the builder failed: SystemExit: done$"),
        (_add_without_a_required_property, "^broken: the builder failed: ValueError: Resource Protocol required"),
    ],
)
def test_whatever_a_builder_raises_is_an_error_of_its_layer(build: Callable[[Stack], None], message: str) -> None:
    with pytest.raises(LayerError, match=message):
        Layer("broken", Scope.PHASE, build, "Broken.").build()


def test_a_layer_deploys_after_those_that_it_imports_from_and_those_that_it_names() -> None:
    assert order(
        layer("alarms", after=("database",)),
        layer("database", imports=(VPC_ID,)),
        layer("network", exports=(VPC_ID,)),
    ) == ["network", "database", "alarms"]


def test_a_template_says_where_it_belongs_and_which_layers_it_follows() -> None:
    """The layers' graph of an old release is read from its templates."""
    built = layer("alarms", imports=(VPC_ID, KEY_ARN), after=("database", "network"), scope=Scope.NETWORK_PER_PHASE)
    assert built.build().to_dict()["Metadata"] == {
        "Stackferry": {"Scope": "NETWORK_PER_PHASE", "Needs": ["database", "foundation", "network"]}
    }


def test_layers_that_are_free_of_each_other_deploy_in_alphabetical_order() -> None:
    assert order(layer("c"), layer("a"), layer("b")) == ["a", "b", "c"]
    assert order(layer("a", after=("z",)), layer("b", after=("y",)), layer("y"), layer("z")) == ["y", "z", "a", "b"]


def test_an_import_that_nobody_exports_is_refused() -> None:
    assert breaches(layer("network"), layer("database", imports=(VPC_ID,))) == [
        "database: imports VpcId of network, which network does not export"
    ]


def test_an_import_from_a_layer_that_is_not_there_is_refused() -> None:
    assert breaches(layer("database", imports=(VPC_ID,))) == [
        "database: imports VpcId of network, which network does not export"
    ]


@pytest.mark.parametrize("elsewhere", [scope for scope in Scope if scope is not Scope.PHASE])
def test_an_import_from_another_scope_is_refused(elsewhere: Scope) -> None:
    assert breaches(layer("network", exports=(VPC_ID,), scope=elsewhere), layer("database", imports=(VPC_ID,))) == [
        f"database: imports VpcId of network, which lives elsewhere ({elsewhere.value}, not target account, "
        "one a phase); take it as a parameter"
    ]


def test_an_after_that_names_no_layer_is_refused() -> None:
    assert breaches(layer("database", after=("netwrok",)), layer("network")) == [
        "database: AFTER names 'netwrok', which is not a layer; layers are database, network"
    ]


def test_an_output_that_two_layers_have_is_refused() -> None:
    twin = Export("database", VPC_ID.name, "a VPC too")
    assert breaches(layer("network", exports=(VPC_ID,)), layer("database", exports=(twin,))) == [
        "network: output VpcId is an output of database too; rename one of them"
    ]


def with_port(name: str, **parameter: Any) -> Layer:
    """A layer that takes one parameter, Port."""

    def build(stack: Stack) -> None:
        stack.parameter(Parameter("Port", Type="Number", **parameter))

    return Layer(name, Scope.PHASE, build, f"The layer {name}.")


def test_a_parameter_with_two_defaults_is_refused() -> None:
    assert breaches(with_port("network", Default=5432), with_port("database", Default=5433)) == [
        "network: parameter Port is 5432 by default and 5433 in database; share one maker"
    ]


@pytest.mark.parametrize("other", [{"Default": 5432}, {}, {"Default": 5432, "MinValue": 1}])
def test_a_parameter_may_differ_in_anything_but_its_default(other: dict[str, Any]) -> None:
    assert breaches(with_port("network", Default=5432), with_port("database", **other)) == []


def test_layers_that_wait_for_each_other_are_refused() -> None:
    one = layer("network", exports=(VPC_ID,), imports=(KEY_ARN,))
    other = layer("foundation", exports=(KEY_ARN,), imports=(VPC_ID,))
    assert breaches(one, other) in (
        ["network: layers wait for each other in a circle: network -> foundation -> network"],
        ["foundation: layers wait for each other in a circle: foundation -> network -> foundation"],
    )


def test_a_layer_that_waits_for_itself_is_refused() -> None:
    assert breaches(layer("network", after=("network",))) == [
        "network: layers wait for each other in a circle: network -> network"
    ]


def test_what_others_want_of_a_layer_that_failed_is_not_judged() -> None:
    waiting = layer("database", imports=(VPC_ID,), after=("network",))
    assert breaches(waiting, unbuilt=("network",)) == []


def test_every_breach_is_reported_and_not_only_the_first() -> None:
    assert breaches(layer("database", imports=(VPC_ID, KEY_ARN), after=("nothing",))) == [
        "database: imports VpcId of network, which network does not export",
        "database: imports KeyArn of foundation, which foundation does not export",
        "database: AFTER names 'nothing', which is not a layer; layers are database",
    ]


def test_there_is_no_deploy_order_for_layers_that_do_not_fit() -> None:
    with pytest.raises(LayerError, match=r"^database: imports VpcId of network"):
        order(layer("database", imports=(VPC_ID,)))
