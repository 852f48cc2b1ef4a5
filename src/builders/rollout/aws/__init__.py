"""Calls of AWS that a rollout alone makes, by `builders.aws`.

client.py      the services of one phase, and the roles by which its accounts are reached
stack_sets.py  StackSets
"""
