"""What the tests make quicker in botocore answers as it does by itself."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from botocore import auth, awsrequest, useragent
from hypothesis import given, strategies as st
from urllib3 import connectionpool, poolmanager

URLS = (
    *("http://127.0.0.1:4566/", "https://S3.amazonaws.com:443/a?b=c", "http://[::1]:80/", "http://user@HOST:8080/%7e"),
    "https://bucket.s3.eu-central-1.amazonaws.com/key",
)
NAMES = st.sampled_from(["Host", "host", "HOST", "Expect", "expect", "X-Amz-Date"])
CHANGES = st.lists(st.tuples(st.sampled_from(["set", "delete", "setdefault"]), NAMES, st.text(max_size=2)))


@pytest.fixture(scope="module")
def plain() -> Any:
    """A module of botocore's requests that nothing has changed."""
    spec = importlib.util.spec_from_file_location("plain_awsrequest", awsrequest.__file__)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _seen(headers: Any, changes: list[tuple[str, str, str]]) -> list[Any]:
    """Return all that can be seen of headers after each change."""
    seen: list[Any] = []
    for kind, name, value in changes:
        if kind == "set":
            headers[name] = value
        elif kind == "setdefault":
            headers.setdefault(name, value)
        else:
            seen.append(headers.pop(name, "none"))
        seen += [list(headers), list(headers.items()), list(headers.copy().values()), len(headers)]
        seen += [(each in headers, headers.get(each)) for each in ("host", "EXPECT", "Date")]
    return seen


@given(changes=CHANGES)
def test_headers_are_found_and_listed_as_by_botocore_s_own(plain: Any, changes: list[tuple[str, str, str]]) -> None:
    assert plain.HeadersDict.__getitem__ is not awsrequest.HeadersDict.__getitem__
    assert _seen(awsrequest.HeadersDict(), changes) == _seen(plain.HeadersDict(), changes)


@pytest.mark.parametrize(
    "function", [auth._host_from_url, vars(connectionpool)["parse_url"], vars(poolmanager)["parse_url"]]
)
def test_an_address_is_read_as_by_the_libraries_own_functions_each_time(function: Any) -> None:
    for _ in range(2):
        assert [function(each) for each in URLS] == [function.__wrapped__(each) for each in URLS]


def test_a_component_of_the_user_agent_is_written_as_by_botocore_s_own_method_each_time() -> None:
    write: Any = useragent.UserAgentComponent.to_string
    size = useragent.UserAgentComponentSizeConfig(6, ",")
    components = [
        useragent.UserAgentComponent(*each)
        for each in (("md", "a b"), ("lang", "py#thon", "3#1"), ("m", "A,B,C", None, size))
    ]
    for _ in range(2):
        assert [each.to_string() for each in components] == [write.__wrapped__(each) for each in components]
