"""Adds to setup.cfg what it cannot say: files from beside the package go into it, for projects of one's own."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

BESIDE = ("lambda", "environments", ".cfnlintrc", "docs")
"""The sources of the functions, the files of this repository that `stackferry-init` begins with, and the pages that
messages name."""


class BuildWithData(build_py):
    """Copies the files into `builders/project/data`; an editable installation finds them where they are."""

    def run(self) -> None:
        """Build the package, and put the files beside its modules."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "builders", "project", "data")
        for name in BESIDE:
            if Path(name).is_dir():
                shutil.copytree(name, target / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
            else:
                self.mkpath(str(target))
                shutil.copy2(name, target / name)


setup(cmdclass={"build_py": BuildWithData})
