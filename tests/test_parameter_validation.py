"""A value is held against its declaration as CloudFormation holds it before it deploys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from builders.parameter_validation import assignment, mistakes


def found(value: str, **declaration: Any) -> list[str]:
    return list(mistakes(value, {"Type": "String", **declaration}))


@pytest.mark.parametrize(
    ("value", "declaration"),
    [
        ("anything", {}),
        ("", {}),
        ("10", {"Type": "Number"}),
        ("-1.5", {"Type": "Number"}),
        ("30", {"Type": "Number", "AllowedValues": [30, 60]}),
        ("true", {"AllowedValues": [True, False]}),
        ("2", {"Type": "Number", "MinValue": 2, "MaxValue": 2}),
        ("ab", {"MinLength": 2, "MaxLength": 2}),
        ("", {"AllowedPattern": "^$|^a+$"}),
        ("aaa", {"AllowedPattern": "a+"}),
        ("1, 2", {"Type": "List<Number>"}),
        ("a, b", {"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}),
        ("ab,cd", {"Type": "CommaDelimitedList", "AllowedPattern": "[a-d]{2}"}),
        ("vpc-0123456789abcdef0", {"Type": "AWS::EC2::VPC::Id"}),
        ("vpc-01234567", {"Type": "AWS::EC2::VPC::Id"}),
        ("subnet-01234567, subnet-89abcdef", {"Type": "List<AWS::EC2::Subnet::Id>"}),
        ("eu-central-1a", {"Type": "AWS::EC2::AvailabilityZone::Name"}),
        ("us-gov-west-1a", {"Type": "AWS::EC2::AvailabilityZone::Name"}),
        ("us-west-2-lax-1a", {"Type": "AWS::EC2::AvailabilityZone::Name"}),
        ("/golden/ami", {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"}),
        ("/subnets", {"Type": "AWS::SSM::Parameter::Value<List<AWS::EC2::Subnet::Id>>"}),
        ("whatever", {"Type": "AWS::Future::Thing::Id"}),
    ],
)
def test_a_value_that_fits_has_no_mistake(value: str, declaration: dict[str, Any]) -> None:
    assert found(value, **declaration) == []


@pytest.mark.parametrize(
    ("value", "declaration", "mistake"),
    [
        ("ten", {"Type": "Number"}, "is not a number"),
        ("", {"Type": "Number"}, "is not a number"),
        ("nan", {"Type": "Number"}, "is not a number"),
        ("1_000", {"Type": "Number"}, "is not a number"),
        (" 1", {"Type": "Number"}, "is not a number"),
        ("1,x", {"Type": "List<Number>"}, "is not a number"),
        ("1", {"Type": "Number", "MinValue": 2}, "is 1, at least 2 are allowed"),
        ("70000", {"Type": "Number", "MaxValue": "65535"}, "is 70000, at most 65535 are allowed"),
        ("a", {"MinLength": 2}, "has 1 characters, at least 2 are allowed"),
        ("abc", {"MaxLength": 2}, "has 3 characters, at most 2 are allowed"),
        ("yes", {"AllowedValues": ["true", "false"]}, "is not one of the allowed values: true, false"),
        ("True", {"AllowedValues": ["true", "false"]}, "is not one of the allowed values: true, false"),
        ("31", {"Type": "Number", "AllowedValues": [30, 60]}, "is not one of the allowed values: 30, 60"),
        ("a,c", {"Type": "CommaDelimitedList", "AllowedValues": ["a"]}, "is not one of the allowed values: a"),
        ("ab", {"AllowedPattern": "a"}, "does not match a"),
        ("a\n", {"AllowedPattern": "^a$"}, "does not match ^a$"),
        ("é", {"AllowedPattern": r"^\w$"}, r"does not match ^\w$"),
        (
            "b",
            {"AllowedPattern": "a", "ConstraintDescription": "the letter a"},
            "is not the letter a (pattern a)",
        ),
        (
            "b",
            {"AllowedPattern": "a" * 61, "ConstraintDescription": "many letters a"},
            "is not many letters a",
        ),
        (
            "vpc-1",
            {"Type": "AWS::EC2::VPC::Id"},
            "is not what AWS::EC2::VPC::Id asks for: an id such as vpc-0123456789abcdef0",
        ),
        (
            "subnet-01234567,sg-01234567",
            {"Type": "List<AWS::EC2::Subnet::Id>"},
            "is not what AWS::EC2::Subnet::Id asks for: an id such as subnet-0123456789abcdef0",
        ),
        (
            "eu-central-1",
            {"Type": "AWS::EC2::AvailabilityZone::Name"},
            "is not what AWS::EC2::AvailabilityZone::Name asks for: a zone such as eu-central-1a",
        ),
        (
            "a b",
            {"Type": "AWS::SSM::Parameter::Value<String>"},
            "is not what AWS::SSM::Parameter::Name asks for: the name of a Systems Manager parameter",
        ),
        ("é" * 2049, {}, "is longer than the 4,096 bytes that CloudFormation takes"),
    ],
)
def test_a_value_that_does_not_fit_is_reported_with_what_is_allowed(
    value: str, declaration: dict[str, Any], mistake: str
) -> None:
    assert found(value, **declaration) == [mistake]


def test_a_pattern_that_only_java_reads_is_left_to_cloudformation() -> None:
    assert found("1", AllowedPattern=r"^\p{Alpha}+$") == []


def test_several_mistakes_of_a_value_are_all_reported() -> None:
    assert found("abc", AllowedPattern="[0-9]+", MaxLength=2) == [
        "does not match [0-9]+",
        "has 3 characters, at most 2 are allowed",
    ]


def test_a_value_is_shown_with_its_key() -> None:
    assert assignment("VpcCidr", "10.0.0.0/16", {"Type": "String"}) == "VpcCidr='10.0.0.0/16'"


@pytest.mark.parametrize(
    ("key", "declaration"),
    [
        ("MasterPassword", {}),
        ("SourceSecretArn", {}),
        ("apiKey", {}),
        ("AuthToken", {}),
        ("Harmless", {"NoEcho": True}),
        ("Harmless", {"NoEcho": "true"}),
    ],
)
def test_the_value_of_what_sounds_secret_is_not_assignment(key: str, declaration: dict[str, Any]) -> None:
    assert assignment(key, "hunter2", {"Type": "String", **declaration}) == f"{key} (value not shown)"


def test_a_key_of_kms_is_no_secret() -> None:
    assert assignment("KmsKeyId", "x", {"Type": "String"}) == "KmsKeyId='x'"


DECLARATIONS = st.fixed_dictionaries(
    {"Type": st.sampled_from(["String", "Number", "CommaDelimitedList", "List<Number>", "AWS::EC2::VPC::Id"])},
    optional={
        "AllowedPattern": st.sampled_from([r"^\w+$", r"\p{Alpha}", "(", "^$|^a{2}$"]),
        "AllowedValues": st.lists(st.integers() | st.text() | st.booleans()),
        "MinLength": st.integers(0, 9),
        "MaxValue": st.integers(0, 9) | st.integers(0, 9).map(str),
    },
)


@given(value=st.text(st.characters()), declaration=DECLARATIONS)
def test_no_value_is_too_odd_to_be_judged(value: str, declaration: dict[str, Any]) -> None:
    assert all(isinstance(mistake, str) for mistake in mistakes(value, declaration))


def test_half_a_character_is_refused_since_no_request_carries_it() -> None:
    assert found("\ud800", MaxLength=1) == ["has half a surrogate pair, which no request can carry"]
