"""The command line of `rollout-stacksets`.

main.py       what stands before a command's name; error messages and exit codes
options.py    those options, and the ones that several commands have
change.py     plan, publish, apply, resume, rollback, remove, adopt, bootstrap
agreement.py  from a plan to its report: show, ask, save or carry out
inspect.py    status, outputs, drift and doctor

Exit codes: 0 done, or nothing to do; 1 something failed, is blocked, has drifted or was found; 2 wrong use; 130
interrupted: the operations of StackSets go on, and `resume` continues the run.
"""
