"""The rollout and the demo on the embedded cloud: they call the commands from outside, as a person would.

Read in this order:

    cli.py             `rollout-stacksets` as installed: the rollout's commands, and `rehearse`, from start to report
    script.py          the order of the steps, and the phase in which each fault occurs
    steps.py           the steps: check, bootstrap, plan, apply, update, roll back, inspect
    faults.py          the steps with a fault: an account that denies access, a killed process, throttled calls
    rehearsal.py       a rehearsal under way: its steps with what each expects, and the phases as AWS lists them
    commands.py        one command, called in this process or in another, and its result
    snapshot.py        a phase as CloudFormation describes it, to compare before and after
    report.py          the result of a rehearsal, as text and as JSON
    cloud.py           the embedded cloud with the accounts of a rollout file, before anything is deployed
    accounts.py        the pretend accounts, their organization, and the databases on premises
    rollout_file.py    the rollout file with fewer accounts and regions, and without bake times
    deployment.py      one phase deployed by the real AWS CLI, for the demo
    source.py          the database on premises: the sample, payments.sql, or what somebody's own file makes
    generated_rows.py  rows for a schema that has none, made from its definitions
    writer.py          the application of the sample, which never stops writing
    moving.py          the rows of a phase moved, from the definitions to the proof that both sides agree
    database_login.py  a login with the generated password, before and after a rotation, for the demo

The demo is `builders/demo.py`. Nothing in `builders.rollout` imports this package or `builders.cloud`.
"""
