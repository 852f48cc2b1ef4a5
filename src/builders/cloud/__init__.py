"""A local AWS on 127.0.0.1 for the real AWS CLI and boto3, so that nothing here needs an AWS account.

    __main__.py      the command `python -m builders.cloud`
    process.py       the same server as a child process: `with running() as cloud:`
    server/          its start and end, accounts, faults on request, stored state
    patches.py       changes of ministack
    internals.py     the private names of ministack that this package uses

    cloudformation/  stacks, templates, and every resource type of the registry
    stacksets/       StackSets, whose member stacks are real
    organizations/   AWS Organizations
    iam/             IAM and STS
    ec2/             networks, and the names that functions resolve
    rds/             databases as real PostgreSQL servers, and one on premises
    secretsmanager/  secrets and their rotation
    dms/             DMS tasks and connections
    cloudwatch.py    metrics and alarms
    lambda_.py       the Python that functions run on
    worker_names.py  name resolution inside of functions
    services.py      differences of Secrets Manager, Lambda and RDS

It is built on ministack and adds what ministack lacks (docs/embedded-cloud.md says what it proves and what not). Only
the rehearsal and the demo import this package, and only this package imports ministack: it is the extra `cloud`.
"""
