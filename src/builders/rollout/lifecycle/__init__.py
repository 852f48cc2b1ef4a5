"""Work around an apply: before it, back from it, and after a removal.

bootstrap.py  the plain stacks that a phase needs
packages.py   the functions' packages in the bucket of each region
rollback.py   an earlier release as the desired state
retained.py   resources that a removal retains
purge.py      their deletion
detach.py     instances that StackSets forgets, in accounts that left a phase
"""
