"""Calls that the policy of a VPC endpoint lets through, as far as the reachability check reads IAM's language."""

from __future__ import annotations

from typing import Any

import pytest

from builders.reachability.endpoint_policies import Request, allows


def request(**changes: str) -> Request:
    """A call that `POLICY` allows, unless something in it is changed."""
    mine = {"action": "s3:GetObject", "resource": "arn:aws:s3:::mine/key"}
    accounts = {"principal_account": "1" * 12, "resource_account": "1" * 12}
    return Request(**{**mine, **accounts, **changes})


ALLOWED = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": ["s3:Get*"],
    "Resource": "arn:aws:s3:::mine/*",
    "Condition": {"StringEquals": {"aws:PrincipalAccount": "1" * 12}},
}


@pytest.mark.parametrize(
    ("statements", "asked", "expected"),
    [
        ([ALLOWED], request(), True),
        ([], request(), False),
        ([ALLOWED], request(action="s3:PutObject"), False),
        ([ALLOWED], request(resource="arn:aws:s3:::other/key"), False),
        ([ALLOWED], request(principal_account="2" * 12), False),
        ([ALLOWED, ALLOWED | {"Effect": "Deny"}], request(), False),
        ([ALLOWED | {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}], request(), False),
        ([ALLOWED, ALLOWED | {"Effect": "Deny", "Condition": {"Bool": {"any": "true"}}}], request(), False),
        ([ALLOWED | {"Principal": {"AWS": f"arn:aws:iam::{'1' * 12}:root"}}], request(), True),
        ([ALLOWED | {"Principal": {"AWS": f"arn:aws:iam::{'2' * 12}:root"}}], request(), False),
    ],
)
def test_a_policy_allows_what_a_statement_fits_and_none_denies(
    statements: list[dict[str, Any]], asked: Request, expected: bool
) -> None:
    assert allows({"Statement": statements}, asked) is expected


def test_an_account_as_principal_of_a_gateway_endpoint_lets_nobody_pass() -> None:
    named = ALLOWED | {"Principal": {"AWS": f"arn:aws:iam::{'1' * 12}:root"}}
    assert not allows({"Statement": [named]}, request(), at_gateway=True)
