"""A local AWS on 127.0.0.1 for the real AWS CLI and boto3, so that nothing here needs an AWS account.

It stands on ministack and adds what ministack lacks (docs/embedded-cloud.md says what it proves and what not).
The rooms:

    __main__.py     the command `python -m builders.cloud`
    process.py      the same server as a child process, for tests and the demo: `with running() as cloud:`
    server.py       its socket, directory and environment; then
    serving.py      its life: ready, the pages of its own, stop
    keeping.py      state that outlives the server; plain.py writes our values as JSON
    resuming.py     stack operations that a killed server left go on in the next
    faults.py       what fails on request, between a caller and AWS
    install.py      puts everything below into ministack's tables, in one readable list
    checking.py     the checks in front of every resource handler
    schemas.py      the CloudFormation registry's resource schemas, one type at a time
    pages.py        lists in pages
    records.py      resources of types that ministack does not know, made from their schemas
    attributes.py   values of attributes that AWS would choose: ids, ARNs
    outside.py      the same resources through Cloud Control, drift detection and import
    authorization.py  what the IAM evaluator has to know of a request (`--auth`)
    network.py      network resources that ministack's EC2 API can show; network_rules.py for rules and entries
    installations.py  which PostgreSQL there is
    postgres.py     servers with TLS, each on a port of its own; guard.py ends them with us
    rds.py          AWS::RDS::DBInstance as one of them
    rds_operations.py  reboot, snapshot, restore and delete through RDS's own API
    functions.py    the Python that functions run on
    vpc_names.py    the names that functions in a VPC resolve; worker_names.py is how
    name_map.py     the files that say which name is which port of this machine
    on_premises.py  a PostgreSQL that plays the source, under a name of its own
    secrets.py      generated passwords, version stages, attachments
    dms/            the API of DMS over its records: a task's life, which a test decides
    rotation.py     RotateSecret and RotationSchedule; rotation_steps.py calls the function
    stacksets/      StackSets, whose member stacks are real; organizations/ for OUs and accounts
    account_regions.py  which regions an account has enabled; quotas.py for Service Quotas
    corrections/    what ministack gets wrong, one function each
    strictness/     what AWS refuses and ministack takes

Nothing outside this package imports it, and only this package imports ministack: it is the extra `cloud`.
"""
