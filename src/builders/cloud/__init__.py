"""A local AWS on 127.0.0.1 for the real AWS CLI and boto3, so that nothing here needs an AWS account.

It stands on ministack and adds what ministack lacks (docs/embedded-cloud.md says what it proves and what not). A module
or package is a service of AWS; in each is what its checks refuse, what its patches replace, and what its handlers add:

    cloudformation/  templates, stacks, change sets; every type of the registry as a resource; Cloud Control
    stacksets/       StackSets, whose member stacks are real
    organizations/   organizations with members: units, accounts, delegated administrators
    iam/             roles and policies, AssumeRole, authorization (`--auth`)
    ec2/             networks, and the names that functions in a VPC resolve
    rds/             instances that are real PostgreSQL servers; one that plays on-premises
    dms/             the API of DMS over its records: a task's life, which a test decides
    secretsmanager/  version stages, generated passwords, rotations that call their function
    lambda_.py       the Python that functions run on, packages in buckets, permissions
    workers.py       processes of functions, forked by one that has imported boto3
    forker.py        the program of that one
    cloudwatch.py    metrics, alarms, log groups, events
    events.py        schedules, rules and queues that EventBridge and SQS refuse
    s3.py            buckets of templates, their lists, policies and notifications
    cfn_response.py  the module that Lambda adds to inline functions
    kms.py           key policies, and the keys of secrets
    stamps.py        random ids and timestamps, of which each stack takes a dozen

Around them:

    server/          the server: start, state that outlives it, faults on request, regions and quotas of accounts
    patches.py       the registry of patches: each names its target in ministack and says why it is needed
    internals.py     the private names of ministack that are only read, each under a public name
    process.py       the server as a child process, for tests and the demo: `with running() as cloud:`
    clients.py       boto3 clients of that process, which all accounts share
    __main__.py      the command `python -m builders.cloud`

Only `builders.rehearsal` imports this package, and only this package imports ministack: it is the extra `cloud`.
"""
