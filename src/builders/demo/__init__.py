"""The demo: one phase deployed on the embedded cloud by the real AWS CLI, its database used, and all phases rehearsed.

    python -m builders.demo [--phase dev] [--no-rehearse] [-- COMMAND ...]

A command behind `--` runs against the deployed phase before everything stops, and takes the place of the rehearsal:
`make test` runs the integration suite there.
"""
