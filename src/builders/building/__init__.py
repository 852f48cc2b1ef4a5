"""The work of `build-templates`: layers become templates, which are written, checked and linted.

run.py                one call of the command
templates.py          template files: their text, and how they differ from the layers
environment_check.py  parameter files against all layers
lint.py               cfn-lint with our rules, in this process
packages.py           packages of the functions: made, named in environments/, uploaded
"""
