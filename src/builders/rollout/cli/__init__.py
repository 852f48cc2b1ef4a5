"""The command line of `rollout-stacksets`.

main.py     what stands before a command's name; error messages and exit codes
options.py  those options, and the ones that several commands have
change.py   plan, apply, resume, rollback, remove: plan, show, confirm, execute, report
inspect.py  status, outputs, drift, doctor and bootstrap

Exit codes: 0 done, or nothing to do; 1 something failed, is blocked, has drifted or was found; 2 wrong use; 130
interrupted: the operations of StackSets go on, and `resume` continues the run.
"""

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
