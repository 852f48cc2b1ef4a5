"""Work around an apply: before it, back from it, and after a removal.

bootstrap.py   the plain stacks that a phase needs: what becomes of them, and their deployment as planned
adopt.py       stacks that were deployed by hand, taken into their stack sets
packages.py    the functions' packages in the bucket of each region
rollback.py    an earlier release as the desired state, or none; instances that StackSets forgets
retained.py    resources that a removal retains, and their deletion
"""
