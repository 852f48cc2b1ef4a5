"""Findings are written for people, for programs and for code scanners."""

from __future__ import annotations

import json
from importlib import metadata

import pytest

from builders import findings
from builders.findings import Finding, Severity, in_reading_order

STALE = Finding("stale-template", "network: templates/network.json is missing", "templates/network.json")
LINTED = Finding("E3002", "Additional properties", "templates/my layer.json", 12, 5, Severity.ERROR)
WARNED = Finding("W1030", 'says "no"', "/abroad/x.json", 3, None, Severity.WARNING)


def test_a_line_of_text_begins_with_the_location_as_far_as_it_is_known() -> None:
    assert findings.as_text([STALE, LINTED, WARNED]) == (
        "templates/network.json: error stale-template: network: templates/network.json is missing\n"
        "templates/my layer.json:12:5: error E3002: Additional properties\n"
        '/abroad/x.json:3: warning W1030: says "no"\n'
    )


def test_a_message_cannot_break_its_line_or_steer_a_terminal() -> None:
    finding = Finding("unknown-parameter", "A\n\x1b[2JB\ud800 é", "dev.json")
    assert findings.as_text([finding]) == "dev.json: error unknown-parameter: A \\x1b[2JB\\ud800 é\n"


def test_without_findings_the_text_is_empty() -> None:
    assert findings.as_text([]) == ""


def test_json_is_a_list_of_objects_with_null_for_what_is_not_known() -> None:
    assert json.loads(findings.as_json([WARNED])) == [
        {
            "rule": "W1030",
            "severity": "warning",
            "message": 'says "no"',
            "file": "/abroad/x.json",
            "line": 3,
            "column": None,
        }
    ]


def test_without_findings_json_is_an_empty_list() -> None:
    assert findings.as_json([]) == "[]\n"


def test_sarif_is_a_log_with_one_run() -> None:
    """The log below was validated against the JSON schema of SARIF 2.1.0."""
    assert json.loads(findings.as_sarif([LINTED, STALE])) == {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "build-templates",
                        "semanticVersion": metadata.version("stackferry"),
                        "rules": [
                            {"id": "E3002"},
                            {
                                "id": "stale-template",
                                "shortDescription": {"text": "A template file does not say what its layer makes."},
                            },
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [
                    {
                        "ruleId": "E3002",
                        "ruleIndex": 0,
                        "level": "error",
                        "message": {"text": "Additional properties"},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": "templates/my%20layer.json"},
                                    "region": {"startLine": 12, "startColumn": 5},
                                }
                            }
                        ],
                    },
                    {
                        "ruleId": "stale-template",
                        "ruleIndex": 1,
                        "level": "error",
                        "message": {"text": "network: templates/network.json is missing"},
                        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "templates/network.json"}}}],
                    },
                ],
            }
        ],
    }


def test_the_location_of_a_file_elsewhere_is_an_absolute_uri_in_sarif() -> None:
    (result,) = json.loads(findings.as_sarif([WARNED]))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "file:///abroad/x.json"},
        "region": {"startLine": 3},
    }


@pytest.mark.parametrize("form", findings.WRITERS)
def test_every_form_ends_with_a_newline(form: str) -> None:
    assert findings.WRITERS[form]([STALE]).endswith("\n")


def test_findings_are_read_by_file_and_line_and_each_once() -> None:
    first, second = Finding("E1", "one", "a.json", 9), Finding("E1", "one", "a.json", 10)
    assert in_reading_order([STALE, second, first, second]) == [first, second, STALE]
