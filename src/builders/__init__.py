"""Builds, proves and rolls out the CloudFormation templates that ferry PostgreSQL databases into Amazon RDS.

    start.py                 the commands as they are installed, and the signals that interrupt them
    build.py                 the command `build-templates`
    init.py                  the command `stackferry-init`: a project of one's own
    building/                its work: writing and checking templates, lint, environments, packages
    catalog.py               the layers, found by walking their folder, and their deployment order
    layers/                  one module per layer
    stack.py                 the contract of a layer: suffix, tags, exports, imports
    parameters.py            template parameters that several layers share
    policies.py              IAM statements that several layers share
    scanners.py              accepted findings of security scanners, with their reasons
    rules/                   one lint rule per file, for cfn-lint
    reachability/            network paths in the templates: the needed ones exist, and no others
    rollout/                 the command `rollout-stacksets`: many accounts, with StackSets
    migration/               the command `migrate-database`: the migration of a phase
    write_outputs.py         the command `write-outputs`: outputs of stacks that were deployed by hand
    aws/                     calls to AWS, for the commands: credentials, limits, errors
    cloud/                   the embedded cloud, a local AWS
    rehearsal/               the rollout rehearsed on the embedded cloud
    demo.py                  the demo: one phase deployed and used on the embedded cloud

    project/                 what a project of one's own needs of this package: files that come with it, placeholders
    naming.py                names, tags and limits
    regions.py               the regions of AWS, and their zone ids
    scopes.py                the account in which a layer is deployed
    errors.py                the errors that users see
    findings.py              findings of checks, as text, JSON and SARIF
    text.py                  plain English for messages
    table_mappings.py        names with wildcards in a table mapping of DMS
    logical_decoding.py      the text by which PostgreSQL's plug-in test_decoding tells of changes
    command_line.py          exit codes, help and error messages, the same in all commands
    advice.py                commands and pages that messages advise, as they are typed and found here
    page.py                  pages: results as text that fits a width
    progress.py              progress on stderr
    terminal.py              output of the commands: printable text, and consoles whose control characters are their own
    files.py                 files written as a whole or not at all
    environments.py          parameter files
    parameter_validation.py  parameter values against their declarations
    evaluate.py              templates evaluated with given parameters
    template_bodies.py       template bodies, parsed, compared and evaluated
    layer_templates.py       templates of layers as files: scope, needs, parameters and outputs
    stack_diff/              two versions of one stack compared: changes, values, hazards
    intrinsics.py            the intrinsic functions
    database_instances.py    what RDS refuses in the properties of an instance
    service_limits.py        choices and numbers that services refuse and the registry takes
    postgresql_settings.py   names of PostgreSQL's settings
    task_settings.py         the task settings that DMS knows
    resource_ids.py          kinds of AWS's identifiers: what gives one, and what takes one
    resource_types.py        resource types in the CloudFormation registry
    cfnlint_libraries.py     the parts of sympy and networkx that cfn-lint uses, without loading either
    policy_documents.py      IAM policy documents, read
    package.py               packages of the Lambda functions
    deploy.py                one stack deployed by the real AWS CLI
    outputs.py               outputs of deployed stacks, as files
    deployed.py              stacks of ours in an account: a phase found by its files, or by CloudFormation

docs/architecture.md has the picture of the imports.
"""
