"""The command line of `rollout-stacksets`.

main.py     the commands with their options, exit codes and error messages
change.py   apply, resume, rollback, remove, and plan: they change a phase, or show how
inspect.py  status, outputs, drift, doctor and bootstrap
runs.py     what the commands of `change` share: plan, confirm, execute, report
"""
