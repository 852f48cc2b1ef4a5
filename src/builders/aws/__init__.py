"""Calls to AWS as all commands make them: credentials, limits, errors in one tree, and what the services describe.

calls.py         every call: its credentials, counted, observed, limited, made again, its errors mapped
limiter.py       the pace of calls, which is found by what AWS throttles
boto_clients.py  boto3 clients, one per service and region
stacks.py        stacks of CloudFormation: their templates, outputs, resources and failures
change_sets.py   change sets, and the stacks that are deployed by them
objects.py       objects of S3, their versions and digests, and conditional writes
resources.py     single resources, described and deleted: alarms, tasks, functions, roles, snapshots, secrets, keys
accounts.py      accounts: their regions, quotas and organization
networks.py      attachments of transit gateways, and the zones of services
errors.py        the errors of AWS
"""
