"""The services that a rollout calls, by `builders.aws`.

client.py        the services of one phase, and the roles by which its accounts are reached
stack_sets.py    StackSets
stacks.py        stacks and change sets of CloudFormation
plain_stacks.py  plain stacks, deployed by change sets
accounts.py      target accounts: stacks, events, alarms, tasks, regions, quotas, single resources; AWS Organizations
s3.py            S3, with conditional writes
"""
