"""All calls of the rollout to AWS. No other package of the rollout imports boto3.

client.py        the services of one phase, and the roles by which its accounts are reached
calls.py         every call: its credentials, counted, observed, limited, its errors mapped
boto_clients.py  boto3 clients, one per service and region
errors.py        the errors of AWS
stack_sets.py    StackSets
stacks.py        stacks and change sets of CloudFormation
plain_stacks.py  plain stacks, deployed by change sets
accounts.py      target accounts: stacks, events, alarms, tasks, regions, quotas, single resources; AWS Organizations
s3.py            S3, with conditional writes
"""
