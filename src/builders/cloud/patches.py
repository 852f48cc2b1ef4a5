"""How a function of ministack is replaced."""

from __future__ import annotations

import sys
from typing import Any


def replace(module: Any, name: str, new: Any) -> Any:
    """Put `new` in the place of a function in `module` and wherever CloudFormation imported it by name.

    Return the function that was there.
    """
    old = getattr(module, name)
    for each in list(sys.modules.values()):
        if each is module or (
            getattr(each, "__name__", "").startswith("ministack.services.cloudformation")
            and getattr(each, name, None) is old
        ):
            setattr(each, name, new)
    return old
