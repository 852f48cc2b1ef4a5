"""Stands before the start of a Python that a program of the tests starts, and hands its program to the warm process.

Python imports this module by itself where this folder is in PYTHONPATH. Programs are those that `warm.programs` names.
"""

from __future__ import annotations

import os
import sys

if sys.orig_argv[1:2] == ["-m"] and sys.orig_argv[2] in os.environ.get("WARM_PROGRAMS", "").split():
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
    import warm_command

    warm_command.hand_over(sys.orig_argv[2:])
