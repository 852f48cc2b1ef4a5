"""Stands before the start of a Python that a program of the tests starts, and hands its command to a warm process.

Python imports this module by itself where this folder is in PYTHONPATH. Commands are the AWS CLI, and the modules that
`warm.programs` names.
"""

from __future__ import annotations

import os
import sys

if sys.orig_argv[1:2] == ["-m"] and sys.orig_argv[2] in ("awscli", *os.environ.get("WARM_PROGRAMS", "").split()):
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
    import warm_command

    del sys.path[0]
    warm_command.stand_in(sys.orig_argv[2:])
