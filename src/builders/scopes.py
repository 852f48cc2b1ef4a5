"""Where the stacks of a layer live. Apart from the layers, so that who only asks does not load troposphere."""

from __future__ import annotations

import enum


class Scope(enum.Enum):
    """Where a layer's stacks live. A value is imported only from the same scope: elsewhere the account, the
    region or the suffix differs, and the value crosses as a parameter."""

    TOOLING = "tooling account, each region"
    TOOLING_ONCE = "tooling account, once"
    NETWORK = "network account, once"
    NETWORK_PER_PHASE = "network account, one a phase"
    ACCOUNT = "target account, one region"
    PHASE = "target account, one a phase"
