"""The demo: every layer of one phase deployed on the embedded cloud by the real AWS CLI, and the database used.

    python -m builders.demo [--phase dev] [-- COMMAND ...]

A command behind `--` runs against the deployed phase before everything stops: `make test` runs the integration suite
there.
"""
