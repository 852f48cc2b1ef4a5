"""The command line of `rollout-stacksets`.

main.py      the commands with their options, exit codes and error messages
change.py    plan, apply, resume, rollback, remove: plan, show, confirm, execute, report
inspect.py   status, outputs, drift, doctor and bootstrap
terminal.py  the phase of a command, its result, its question
"""
