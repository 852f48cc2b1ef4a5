"""What a rollout would do, said before it does it. Pure.

values.py      a plan: groups of instances that change alike, the calls, the hazards
making.py      desired state and world become a plan
estimating.py  how many at once, and about how long
"""
