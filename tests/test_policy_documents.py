"""Principals that may assume a role, as its trust policy says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builders.policy_documents import allows, principals, statements, trusts_role, trusts_service, wants_external_id

ARN = "arn:aws:iam::888888888888:role/stackferry-administration-prod"


def policy(principal: Any, **more: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal, **more}]}


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": ARN},
        {"AWS": ["arn:aws:iam::111111111111:root", ARN]},
        {"AWS": "arn:aws:iam::888888888888:root"},
        {"AWS": "888888888888"},
        {"AWS": "*"},
        "*",
    ],
)
def test_a_role_is_trusted_by_its_arn_its_account_or_as_anybody(principal: Any) -> None:
    assert trusts_role(policy(principal), ARN)


@pytest.mark.parametrize(
    "trust",
    [
        policy({"AWS": "arn:aws:iam::111111111111:root"}),
        policy({"AWS": ARN + "-2"}),
        policy({"Service": "cloudformation.amazonaws.com"}),
        policy({"AWS": ARN}, Effect="Deny"),
        policy({"AWS": ARN}, Action="sts:TagSession"),
        policy({"AWS": ARN}, Condition={"StringEquals": {"sts:ExternalId": "migration-prod"}}),
        {},
    ],
    ids=["other account", "other role", "service", "denied", "other action", "external id", "nothing"],
)
def test_a_role_that_a_policy_does_not_name_is_not_trusted(trust: dict[str, Any]) -> None:
    assert not trusts_role(trust, ARN)


@pytest.mark.parametrize(
    ("named", "is_trusted"),
    [(ARN, True), ([ARN + "-2", ARN], True), (ARN.rsplit("/", 1)[0] + "/*", True), (ARN + "-2", False)],
)
def test_a_condition_on_the_callers_name_narrows_the_trust_of_an_account(named: Any, is_trusted: bool) -> None:
    trust = policy({"AWS": "888888888888"}, Condition={"ArnLike": {"aws:PrincipalArn": named}})
    assert trusts_role(trust, ARN) is is_trusted


def test_a_role_wants_an_external_id_where_no_statement_does_without() -> None:
    wanting = {"StringEquals": {"sts:ExternalId": "migration-dev"}}
    assert wants_external_id(policy({"AWS": ARN}, Condition=wanting), ARN)
    assert not wants_external_id(policy({"AWS": ARN}), ARN)
    assert not wants_external_id(policy({"AWS": ARN + "-2"}, Condition=wanting), ARN)


def test_a_service_is_trusted_by_its_name() -> None:
    trust = policy({"Service": ["lambda.amazonaws.com", "cloudformation.amazonaws.com"]})

    assert trusts_service(trust, "cloudformation.amazonaws.com")
    assert not trusts_service(trust, "dms.amazonaws.com")


@pytest.mark.parametrize(
    "action", ["sts:AssumeRole", "STS:assumerole", "sts:*", "sts:Assume*", "*", ["sts:TagSession", "*"]]
)
def test_actions_match_by_pattern_whatever_their_case(action: Any) -> None:
    assert allows({"Effect": "Allow", "Action": action}, "sts:AssumeRole")
    assert not allows({"Effect": "Deny", "Action": action}, "sts:AssumeRole")


def test_a_document_is_read_as_text_or_data_with_one_statement_or_many() -> None:
    statement = policy({"AWS": ["1", "2"], "Service": "x"})["Statement"][0]
    assert statements(json.dumps({"Statement": statement})) == statements({"Statement": [statement]}) == [statement]
    assert principals(statement) == [("AWS", "1"), ("AWS", "2"), ("Service", "x")]
    assert statements(None) == []
