"""The recorded walk with the AWS CLI still goes as it is written."""

from __future__ import annotations

import aws_cli

from .transcript import DOCUMENT, record


def test_the_recorded_life_of_a_stack_set_is_what_the_aws_cli_shows_today() -> None:
    assert record(**aws_cli.variables()) == DOCUMENT.read_text()
