"""The acts of a rehearsal, each a function that plays one or a few.

beginning.py  doctor, bootstrap
deploying.py  plan and apply a phase for the first time
failing.py    an account that fails in the middle, is mended, and applied again
throttling.py apply while AWS throttles
killing.py    a process that is killed in the middle, and another one that resumes
changing.py   an update of one parameter, a plan that finds nothing to do, a rollback
looking.py    status, outputs, drift
"""
