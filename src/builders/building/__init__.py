"""The work of `build-templates`: layers become templates, which are written, checked and linted.

run.py                one call of the command
cache.py              what earlier runs found, where nothing changed
watch.py              one run for each save of a source
troposphere_speed.py  quicker forms of what troposphere does in every build
templates.py          template files: their text, and how they differ from the layers
environment_check.py  parameter files against all layers
lint.py               cfn-lint with our rules, in this process
cfnlint_speed.py      quicker forms of what cfn-lint does most often
second_opinion.py     AWS's own linter beside cfn-lint, where it is installed
sbom.py               what is in a package, as CycloneDX
packages.py           packages of the functions: made, named in environments/, uploaded
"""
