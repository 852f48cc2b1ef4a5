"""Commands that write the pages and tables of this repository: `python -m tools.NAME [--check]`, from its root.

With --check nothing is written, and the exit code is 1 when a file is out of date; a test checks each of them.

    written_files.py      write the files of a command, or compare them
    execution_actions.py  src/builders/layers/_execution/actions.py, from the registry's schemas
    rollout_schema.py     docs/rollout.schema.json, from the models of the rollout file
    rule_pages.py         docs/rules/, from the rules' own text
    check_page.py         docs/migration-check.md, from the findings of migrate-database check
    parameters.py         docs/parameters.md, from the templates and the registry's schemas
    architecture.py       the pictures in docs/architecture.md, from the imports
    permissions/          docs/permissions.md, from the table of the calls that the commands make

Two commands judge instead of writing:

    fuzz/                 mutated inputs through everything that reads one: no traceback
    cdk_nag/              cdk-nag's PCI pack over the templates with the values of environments/: `make nag`
"""
