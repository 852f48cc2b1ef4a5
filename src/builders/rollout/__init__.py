"""Rollout to many accounts on CloudFormation StackSets: one stack set a phase and layer.

The rooms, from what is pure to what talks to AWS:

    model.py      the values that all rooms share: places, sets, the world, the desired state
    file/         rollout.yaml: its schema, and errors that name the line and the key
    desired.py    rollout.yaml, environments/ and templates/ become the desired state of a phase
    changes/      what an update does to each resource: add, modify, replace, remove, and what AWS would refuse
    steps.py      the fewest StackSets operations that lead from a set's state to the desired one
    comparing.py  what becomes of one instance; grouping.py: accounts and regions of one operation
    order.py      which layer goes before which, forwards and backwards
    rollback.py   an earlier release as the desired state
    waves.py      who is deployed together
    names.py      of stack sets and plain stacks
    pace.py       how many accounts at once, how many failures, how long to wait
    plan/         desired state and world become a plan: findings, blocks, time; its text, JSON and saved form
    client/       all boto3: reads the world, submits operations, assumes roles
    store.py      releases, the journal of a run and its lock, in the artifacts bucket
    engine/       apply, resume, rollback, remove: walks the waves and the layers' graph
    bootstrap/    what StackSets cannot carry, as plain stacks
    reading/      status, outputs, drift, doctor
    rehearsal/    the same on the embedded cloud, with pretend accounts
    command.py    `rollout-stacksets`
"""
