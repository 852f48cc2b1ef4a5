"""Runs: apply, resume, rollback and remove carry a schedule out, call by call.

current_state.py  the current state, read from AWS
executor.py       one run from its lock to its end, wave by wave, with the bake time between them
layers.py         one layer in one wave; the code of its functions, compared with their packages
operations.py     operations followed until they end; those of a run: journal, submit, resume
proof.py          proof, from AWS, of what the bucket says of runs and releases
context.py        the values of one run, its clock, its observer and its report
"""
