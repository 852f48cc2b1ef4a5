"""Rollout to many accounts on CloudFormation StackSets: one stack set for each phase and layer.

    cli/           the command line of `rollout-stacksets`
    render/        results and progress, as text and JSON
    checks/        doctor, status, outputs, drift and change sets: they read
    lifecycle/     bootstrap, packages, rollback, detach and purge: around an apply
    phase.py       rollout.yaml, templates and shared stacks, opened for a command
    executor/      runs: a schedule carried out, call by call
    state/         journal, releases and override cache in the artifacts bucket
    client.py      sessions in the accounts of a phase, by their roles
    stack_sets.py  the calls of the StackSets API
    plan/          the ordered calls from the current state to the desired one, and what blocks them
    config/        rollout.yaml, environments/ and templates/ become the desired state
    model.py       the values that all of them share

From top to bottom: a package imports from those below it only. `model`, `config` and `plan` call no AWS.
"""
