"""Recognizes literal secrets in templates: by the names of their properties and parameters, and by their text."""

from __future__ import annotations

import re

from builders.rules._placeholders import placeholder_in

SECRET_NAME = re.compile(
    r"(?:password|passwd|passphrase|pwd|auth[_-]?token|access[_-]?token|api[_-]?token|secret[_-]?key|client[_-]?secret"
    r"|secret[_-]?access[_-]?key|api[_-]?key|private[_-]?key)$",
    re.IGNORECASE,
)
"""Names whose value is a secret. A value called just "secret" or "token" is often a name, and is not reported."""

REPORTED_BY_CFN_LINT = {
    *("AccountPassword", "AdminPassword", "ADDomainJoinPassword", "CrossRealmTrustPrincipalPassword", "DbPassword"),
    *("KdcAdminPassword", "MasterUserPassword", "Password", "PasswordParam"),
}
"""Properties whose literal values cfn-lint's own rule W2501 reports."""

_NO_SECRET = re.compile(
    r"arn:|/|\$|%[sd({]|<|\{\{|'|@|(?:method|integration|context|stagevariables)\.|\*+$|-*$|(?:\d{1,4})?$"
    r"|(?:true|false|none|null|nil|enabled|disabled|required|optional|empty|blank|unset|unused|unknown|undefined|initial"
    r"|pending|default|dummy|fake|n/?a|not[-_ ]?(?:set|used|needed|applicable|yet[-_ ]?\w*)|ignored?|auto|generated)$"
    r"|(?:seconds|minutes|hours|days)$"
    r"|(?:(?:to|will|must|should|shall)[-_ ]be|please|replace|change|update|set|fill|enter|insert|add|put|paste|provide"
    r"|filled|populated|generated|managed|written|stored)[-_ ]",
    re.IGNORECASE,
)
"""Values that are no secret: ARNs, paths of parameters, request mappings, templates with parts to fill in, switches,
units, placeholder words, and empty values.
"""

CONNECTION = re.compile(r"\b[a-z][a-z0-9+]*://[^\s:/@{}$<>%*'\"]+:(?P<password>[^\s@/{}$<>%*'\"]+)@", re.IGNORECASE)
"""A URL with a user and a literal password."""


def is_clear_secret(value: object) -> bool:
    """Return whether the value under such a name is a literal secret: no reference to one, switch or placeholder."""
    if not isinstance(value, str) or "{{resolve:" in value:
        return False
    return not _NO_SECRET.match(value.strip()) and placeholder_in(value) is None
