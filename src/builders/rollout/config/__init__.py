"""rollout.yaml, environments/ and templates/ become the desired state of a phase.

schema.py         rollout.yaml as pydantic models
loading.py        rollout.yaml, read and validated, its parts together too, waves above all
document.py       its YAML, with the line of each value, and its mistakes
parameters.py     parameter values: their sources, checks, and the values of every target
desired_state.py  the desired state of a phase, and the plain stacks of bootstrap
"""
