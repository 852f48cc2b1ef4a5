"""The ways to make troposphere quicker change no object and no template, and take nothing away for good."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any

import pytest
import troposphere
from troposphere import BaseAWSObject, Output, Parameter, Ref, Tags, Template, cloudformation, ec2, sns

from builders import catalog
from builders.building import troposphere_speed

AFTERWARDS = """
import sys
from builders.building import troposphere_speed
with troposphere_speed.installed():
    import troposphere
    absent = {"yaml", "troposphere.serverless", "troposphere.dynamodb"} - sys.modules.keys()
    from troposphere.serverless import SERVERLESS_TRANSFORM, FunctionGlobals, Globals
    template = troposphere.Template()
    template.set_transform(SERVERLESS_TRANSFORM)
    template.set_globals(Globals(Function=FunctionGlobals(Timeout=3)))
print(len(absent), troposphere.Template.props["Globals"][0] is Globals)
print(template.to_yaml())
"""


class Defaulted(ec2.VPC):
    """A class with a default for a property, as projects have them."""

    CidrBlock = "10.0.0.0/16"
    EnableDnsSupport = True


class Owned(Tags):
    """Tags of a project."""


class Deaf(ec2.VPC):
    """A class that sets its properties in its own way."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, Ref("Other") if name == "CidrBlock" else value)


class Titled(ec2.VPC):
    """A class with properties that are called like what every object has."""

    props = {  # noqa: RUF012
        **ec2.VPC.props,
        "Metadata": (dict, False),
        "Ref": ((FunctionType, str), False),
        "resource": (str, False),
    }


class _Type:
    """Has a type and a default for classes that take both from here."""

    resource_type = "Custom::Vpc"
    CidrBlock = Ref("Range")


class Mixed(ec2.VPC, _Type):
    """A class with a default that stands behind those of troposphere."""


def kinds(kind: type[BaseAWSObject]) -> Iterator[type[BaseAWSObject]]:
    """Every class below one."""
    for below in kind.__subclasses__():
        yield below
        yield from kinds(below)


def made(kind: type[BaseAWSObject], *arguments: Any, **given: Any) -> object:
    """What an object has, in its order, or why there is none."""
    try:
        found = kind(*arguments, **given)
        return list(vars(found).items()), list(found.properties)
    except Exception as error:
        return type(error), str(error)


def both(kind: type[BaseAWSObject], *arguments: Any, **given: Any) -> tuple[object, object]:
    """An object as troposphere makes it, and as a build does."""
    plainly = made(kind, *arguments, **given)
    with troposphere_speed.installed():
        return plainly, made(kind, *arguments, **given)


def test_every_class_makes_the_same_object() -> None:
    for name in catalog.layer_names():
        catalog.load(name)
    for kind in list(kinds(BaseAWSObject)):
        plainly, quickly = both(kind, "Title", DeletionPolicy="Retain")
        assert quickly == plainly, kind


@pytest.mark.parametrize(
    ("kind", "arguments", "given"),
    [
        (Defaulted, ("Vpc",), {}),
        (Defaulted, ("Vpc",), {"CidrBlock": Ref("Range"), "Tags": Tags(Owner="me"), "DependsOn": sns.Topic("Topic")}),
        (ec2.VPC, (None,), {}),
        (ec2.VPC, ("not alphanumeric",), {}),
        (ec2.VPC, ("Vpc",), {"CidrBlock": 1}),
        (ec2.VPC, ("Vpc",), {"NoSuchProperty": 1}),
        (ec2.VPC, ("Vpc",), {"CidrBlock": Tags(Owner="me"), "Tags": Ref("Tags")}),
        (ec2.VPC, ("Vpc",), {"Tags": Owned(Owner="me"), "Condition": "HasVpc", "Metadata": {"a": 1}}),
        (ec2.VPC, ("Vpc",), {"EnableDnsSupport": Owned(Owner="me")}),
        (Deaf, ("Vpc",), {"CidrBlock": "10.0.0.0/16"}),
        (Titled, ("Vpc",), {"resource": "Other", "Metadata": {"a": 1}}),
        (Mixed, ("Vpc",), {}),
        (ec2.VPC, ("Vpc", None, False), {"EnableDnsSupport": "true"}),
        (Parameter, ("P" * 256,), {"Type": "String"}),
        (Output, ("Id",), {"Value": Ref("Vpc")}),
        (cloudformation.CustomResource, ("Check",), {"ServiceToken": "arn", "Anything": [1]}),
    ],
)
def test_what_is_given_and_what_is_refused_is_the_same(
    kind: type[BaseAWSObject], arguments: tuple[Any, ...], given: Mapping[str, Any]
) -> None:
    plainly, quickly = both(kind, *arguments, **given)
    assert quickly == plainly


def test_an_object_joins_its_template() -> None:
    template = Template()
    with troposphere_speed.installed():
        topic = sns.Topic("Topic", template=template)
    assert template.resources == {"Topic": topic}


def test_another_version_of_troposphere_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = BaseAWSObject.__init__
    with troposphere_speed.installed():
        assert BaseAWSObject.__init__ is not plain
    assert BaseAWSObject.__init__ is plain
    monkeypatch.setattr(troposphere, "__version__", "4.12.0")
    with troposphere_speed.installed():
        assert BaseAWSObject.__init__ is plain


@pytest.mark.parametrize("known", [troposphere_speed.KNOWN_VERSION, "0"])
def test_whoever_asks_for_what_was_left_out_has_it(known: str) -> None:
    program = f"from builders.building import troposphere_speed as t; t.KNOWN_VERSION = {known!r}\n{AFTERWARDS}"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    told = "3 False" if known == troposphere_speed.KNOWN_VERSION else "1 True"
    assert said == (
        f"{told}\nGlobals:\n  Function:\n    Timeout: 3\nResources: {{}}\nTransform: AWS::Serverless-2016-10-31\n\n"
    )
