"""One module a layer: SCOPE, exports as constants, build(stack). Adding a file here is the whole registration.

So it is in a folder of a project's own, which `include` adds. Values are `builders.stack.Value`: Python takes a
millisecond to make a frozen dataclass, and there are as many as layers.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path

from builders.errors import UsageError


def include(folder: Path) -> None:
    """Find the modules of a folder as modules of this package, layers and what they share, for the rest of the process.

    A folder that is not there has none. Raises `UsageError` for a module that is called like one of ours.
    """
    path = str(folder.absolute())
    if path in __path__ or not folder.is_dir():
        return
    ours = {module.name for module in pkgutil.iter_modules(__path__)}
    for module in pkgutil.iter_modules([path]):
        if module.name in ours:
            raise UsageError(
                f"{folder / module.name} is called like a module of Stackferry's layers; give it another name"
            )
    __path__.append(path)
