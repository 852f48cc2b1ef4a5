"""rollout.yaml is read, and what is wrong with it is reported with the file, the line and the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from builders.errors import RolloutFileError
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.config.schema import RolloutFile

Load = Callable[[str], RolloutFile]

HEAD = """\
tooling:
  account: "888888888888"
  parameters: environments/tooling.json
phases:
  dev:
    environment: environments/dev.json
"""
DEV = f"""\
{HEAD}\
    targets: {{accounts: ["111111111111", "222222222222"]}}
    regions: [us-east-1, eu-west-1]
"""


@pytest.fixture
def read(tmp_path: Path) -> Load:
    def read(text: str) -> RolloutFile:
        file = tmp_path / "rollout.yaml"
        file.write_text(text, encoding="utf-8")
        return load_rollout_file(file)

    return read


@pytest.fixture
def mistakes(read: Load, tmp_path: Path) -> Callable[[str], list[str]]:
    """The lines of the error that a text gives, without the folder of the file."""

    def mistakes(text: str) -> list[str]:
        with pytest.raises(RolloutFileError) as caught:
            read(text)
        return [line.replace(f"{tmp_path}/", "") for line in str(caught.value).splitlines()]

    return mistakes


WRONG = {
    "an empty file": ("", ["rollout.yaml: the file is empty; begin with tooling: and phases:"]),
    "comments alone": ("# nothing\n", ["rollout.yaml: the file is empty; begin with tooling: and phases:"]),
    "a list": ("- a\n", ["rollout.yaml, line 1: the file must be keys and values, such as tooling: and phases:"]),
    "a word": ("hello\n", ["rollout.yaml, line 1: the file must be keys and values, such as tooling: and phases:"]),
    "a tab": (
        "tooling:\n\taccount: a\n",
        ["rollout.yaml, line 2: there is a tab where YAML needs spaces; indent with two spaces"],
    ),
    "broken YAML": (
        "tooling: [\n",
        ["rollout.yaml, line 2: the file is not YAML: expected the node content, but found '<stream end>'"],
    ),
    "two documents": (
        f"{DEV}---\na: b\n",
        ["rollout.yaml, line 9: the file is not YAML: but found another document"],
    ),
    "a version of YAML that does not exist": (
        "%YAML 1.3\n---\na: b\n",
        ["rollout.yaml: the file is not YAML: version minor part can only be 2 or 1, got (1, 3)"],
    ),
    "a character that does not exist": (
        'a: "\\U00110000"\n',
        ["rollout.yaml: the file is not YAML: chr() arg not in range(0x110000)"],
    ),
    "a control character": (
        "a: b\nc: \x07\n",
        ["rollout.yaml, line 2: the file is not YAML: special characters are not allowed"],
    ),
    "keys that are missing": (
        "deploy_role: Deployer\n",
        [
            "rollout.yaml, line 1, tooling: is missing; add it",
            "rollout.yaml, line 1, phases: is missing; add it",
        ],
    ),
    "a key that is misspelt": (
        f"{DEV}    leaveout: [rotation]\n",
        ["rollout.yaml, line 9, phases.dev.leaveout: is not a key of this file; did you mean leave_out?"],
    ),
    "a key that is like none": (
        f"{DEV}xyzzy: 1\n",
        [
            "rollout.yaml, line 9, xyzzy: is not a key of this file; keys here are deploy_role, deploy_roles, network, "
            "phases, stacksets, tooling"
        ],
    ),
    "a key that is misspelt in a wave": (
        f"{DEV}    waves: [{{name: all, rest: true, bakes: 10m}}]\n",
        ["rollout.yaml, line 9, phases.dev.waves[0].bakes: is not a key of this file; did you mean bake?"],
    ),
    "a key twice": (
        f"{DEV}    regions: [us-east-1]\n",
        ["rollout.yaml, line 9, phases.dev.regions: the key is on line 8 too; keep one of them"],
    ),
    "a key without a value": (
        f"{DEV}    waves:\n",
        ["rollout.yaml, line 9, phases.dev.waves: must be a list, such as [a, b]"],
    ),
    "a merge key": (
        f"{DEV}    <<: {{leave_out: []}}\n",
        ["rollout.yaml, line 9, phases.dev: << is not read here; write the keys out"],
    ),
    "a key that is a list": (
        f"{DEV}    [a, b]: c\n",
        ["rollout.yaml, line 9, phases.dev: a key must be a word, not a list or keys of its own"],
    ),
    "a tag of Python": (
        f"{DEV}deploy_role: !!python/object:os.system x\n",
        [
            "rollout.yaml, line 9, deploy_role: YAML reads x as tag:yaml.org,2002:python/object:os.system; "
            'put it in quotes: "x"'
        ],
    ),
    "an account id without quotes": (
        f"{HEAD}    targets: {{accounts: [111111111111]}}\n    regions: [us-east-1]\n",
        [
            'rollout.yaml, line 7, phases.dev.targets.accounts[0]: quote account ids: write "111111111111", or YAML '
            "reads a number and drops leading zeros"
        ],
    ),
    "an account id that YAML takes for an octal number": (
        f"{HEAD}    targets: {{accounts: [011111111111]}}\n    regions: [us-east-1]\n",
        [
            'rollout.yaml, line 7, phases.dev.targets.accounts[0]: quote account ids: write "011111111111", or YAML '
            "reads a number and drops leading zeros"
        ],
    ),
    "an account id as a key without quotes": (
        f"{DEV}    account_parameters:\n      111111111111: {{MultiAZ: true}}\n",
        [
            "rollout.yaml, line 10, phases.dev.account_parameters.111111111111: YAML reads the key as a number; "
            'put it in quotes: "111111111111"'
        ],
    ),
    "an account id that is too short": (
        f'{HEAD}    targets: {{accounts: ["1234"]}}\n    regions: [us-east-1]\n',
        [
            "rollout.yaml, line 7, phases.dev.targets.accounts[0]: '1234' is not an account id; give its twelve digits "
            'in quotes, such as "111111111111"'
        ],
    ),
    "an account id that is wrong in the targets and right in a wave": (
        f'{HEAD}    targets: {{accounts: ["1234"]}}\n    regions: [us-east-1]\n'
        '    waves: [{name: canary, accounts: ["111111111111"]}, {name: rest, rest: true}]\n',
        [
            "rollout.yaml, line 7, phases.dev.targets.accounts[0]: '1234' is not an account id; give its twelve digits "
            'in quotes, such as "111111111111"'
        ],
    ),
    "an account twice": (
        f'{HEAD}    targets: {{accounts: ["111111111111", "111111111111"]}}\n    regions: [us-east-1]\n',
        ["rollout.yaml, line 7, phases.dev.targets.accounts[1]: 111111111111 is listed twice; keep one of them"],
    ),
    "no targets": (
        f"{HEAD}    targets: {{}}\n    regions: [us-east-1]\n",
        [
            "rollout.yaml, line 7, phases.dev.targets: gives nothing; give exactly one of accounts, accounts_file, "
            "organizational_units"
        ],
    ),
    "two kinds of targets": (
        f'{HEAD}    targets: {{accounts: ["111111111111"], organizational_units: [ou-ab12-cdef3456]}}\n'
        "    regions: [us-east-1]\n",
        [
            "rollout.yaml, line 7, phases.dev.targets: gives accounts and organizational_units; give exactly one of "
            "accounts, accounts_file, organizational_units"
        ],
    ),
    "a unit that is none": (
        f"{HEAD}    targets: {{organizational_units: [Workloads]}}\n    regions: [us-east-1]\n",
        [
            "rollout.yaml, line 7, phases.dev.targets.organizational_units[0]: 'Workloads' is not an organizational "
            "unit; give its id, such as ou-ab12-cdef3456, or the root's"
        ],
    ),
    "a region that is misspelt": (
        f'{HEAD}    targets: {{accounts: ["111111111111"]}}\n    regions:\n      - us-east-1\n      - eu-wst-1\n',
        ["rollout.yaml, line 10, phases.dev.regions[1]: 'eu-wst-1' is not a region of AWS; did you mean eu-west-1?"],
    ),
    "a region of AWS China": (
        f'{HEAD}    targets: {{accounts: ["111111111111"]}}\n    regions: [us-east-1, cn-north-1]\n',
        [
            "rollout.yaml, line 8, phases.dev.regions[1]: 'cn-north-1' is in AWS China, for which the layers are not "
            "made; give another region"
        ],
    ),
    "a region of the European Sovereign Cloud": (
        f'{HEAD}    targets: {{accounts: ["111111111111"]}}\n    regions: [us-east-1, eusc-de-east-1]\n',
        [
            "rollout.yaml, line 8, phases.dev.regions[1]: 'eusc-de-east-1' is in the partition aws-eusc, for which the "
            "layers are not made; give another region"
        ],
    ),
    "a region twice": (
        f'{HEAD}    targets: {{accounts: ["111111111111"]}}\n    regions: [us-east-1, us-east-1]\n',
        ["rollout.yaml, line 8, phases.dev.regions[1]: us-east-1 is listed twice; keep one of them"],
    ),
    "no region": (
        f'{HEAD}    targets: {{accounts: ["111111111111"]}}\n    regions: []\n',
        ["rollout.yaml, line 8, phases.dev.regions: is empty; give at least one"],
    ),
    "a phase with a bad name": (
        DEV.replace("  dev:", "  Dev_1:"),
        [
            "rollout.yaml, line 5, phases.Dev_1: 'Dev_1' is not a phase's name; use up to 16 lower-case letters and "
            "digits, joined by hyphens"
        ],
    ),
    "a role by its ARN": (
        f"{DEV}deploy_role: arn:aws:iam::111111111111:role/Deployer\n",
        [
            "rollout.yaml, line 9, deploy_role: 'arn:aws:iam::111111111111:role/Deployer' is not a role's name; give "
            "the name alone, not its ARN"
        ],
    ),
    "a permission model that is none": (
        f"{DEV}stacksets: {{permission_model: MANAGED}}\n",
        [
            "rollout.yaml, line 9, stacksets.permission_model: must be 'SELF_MANAGED' or 'SERVICE_MANAGED'",
        ],
    ),
    "more units than a call takes": (
        f"{HEAD}    targets: {{organizational_units: [{', '.join(f'ou-ab12-{unit:08}' for unit in range(51))}]}}\n"
        "    regions: [us-east-1]\nstacksets: {permission_model: SERVICE_MANAGED}\n",
        ["rollout.yaml, line 7, phases.dev.targets.organizational_units: has 51; give at most 50"],
    ),
    "service-managed sets without units": (
        f"{DEV}stacksets: {{permission_model: SERVICE_MANAGED}}\n",
        [
            "rollout.yaml, line 7, phases.dev.targets: stacksets.permission_model SERVICE_MANAGED needs "
            "organizational_units; name them, or use SELF_MANAGED"
        ],
    ),
    "a delegated administrator of self-managed sets": (
        f"{DEV}stacksets: {{call_as: DELEGATED_ADMIN}}\n",
        [
            "rollout.yaml, line 9, stacksets.call_as: DELEGATED_ADMIN is only for permission_model SERVICE_MANAGED; "
            "write SELF, or change the model"
        ],
    ),
    "values for a region that the phase has not": (
        f"{DEV}    region_parameters: {{us-west-2: {{MultiAZ: true}}}}\n",
        [
            "rollout.yaml, line 9, phases.dev.region_parameters.us-west-2: the phase is not in us-west-2; its regions "
            "are us-east-1, eu-west-1"
        ],
    ),
    "values for an account that is no target": (
        f'{DEV}    account_parameters: {{"333333333333": {{MultiAZ: true}}}}\n',
        [
            "rollout.yaml, line 9, phases.dev.account_parameters.333333333333: account 333333333333 is not a target of "
            "the phase; add it to targets, or take its values out"
        ],
    ),
    "values for a target that the phase does not have": (
        f'{DEV}    place_parameters: {{"333333333333/us-west-2": {{MultiAZ: true}}}}\n',
        [
            "rollout.yaml, line 9, phases.dev.place_parameters.333333333333/us-west-2: the phase is not in us-west-2; "
            "its regions are us-east-1, eu-west-1",
            "rollout.yaml, line 9, phases.dev.place_parameters.333333333333/us-west-2: account 333333333333 is not "
            "a target of the phase; add it to targets",
        ],
    ),
    "values for a target that is none": (
        f"{DEV}    place_parameters: {{eu-west-1: {{MultiAZ: true}}}}\n",
        [
            "rollout.yaml, line 9, phases.dev.place_parameters.eu-west-1: 'eu-west-1' is not a target; write an "
            'account and a region, such as "111111111111/eu-west-1"'
        ],
    ),
    "shared values for a region that no phase has": (
        DEV.replace("phases:", "  region_parameters: {us-west-2: {AccessLogsBucket: logs}}\nphases:"),
        [
            "rollout.yaml, line 4, tooling.region_parameters.us-west-2: no phase is in us-west-2; take its values out, "
            "or add the region to a phase"
        ],
    ),
    "a number with a leading zero": (
        f"{DEV}    parameters: {{SourcePort: 0012}}\n",
        [
            "rollout.yaml, line 9, phases.dev.parameters.SourcePort: YAML reads 0012 as a number; put it in quotes: "
            '"0012"'
        ],
    ),
    "a time that YAML takes for a number": (
        f"{DEV}    parameters: {{Window: 12:30:00}}\n",
        [
            "rollout.yaml, line 9, phases.dev.parameters.Window: YAML reads 12:30:00 as a number; put it in quotes: "
            '"12:30:00"'
        ],
    ),
    "a word that YAML takes for a truth value": (
        f"{DEV}    parameters: {{MultiAZ: yes}}\n",
        [
            "rollout.yaml, line 9, phases.dev.parameters.MultiAZ: YAML reads yes as a truth value; put it in quotes: "
            '"yes"'
        ],
    ),
    "a date": (
        f"{DEV}    region_parameters: {{eu-west-1: {{ReleaseId: 2026-01-01}}}}\n",
        [
            "rollout.yaml, line 9, phases.dev.region_parameters.eu-west-1.ReleaseId: YAML reads 2026-01-01 as a date; "
            'put it in quotes: "2026-01-01"'
        ],
    ),
    "a parameter without a value": (
        f"{DEV}    parameters: {{SourceHost: }}\n",
        [
            'rollout.yaml, line 9, phases.dev.parameters.SourceHost: there is no value; write "" for an empty one',
        ],
    ),
    "a parameter that is a list": (
        f"{DEV}    parameters: {{SourceHost: [a]}}\n",
        ["rollout.yaml, line 9, phases.dev.parameters.SourceHost: must be a text; put it in quotes"],
    ),
    "a duration without a unit": (
        f"{DEV}    waves: [{{name: all, rest: true, bake: 10}}]\n",
        [
            "rollout.yaml, line 9, phases.dev.waves[0].bake: 10 has no unit; write 10s for seconds or 10m for minutes",
        ],
    ),
    "a duration that is none": (
        f"{DEV}    waves: [{{name: all, rest: true, bake: soon}}]\n",
        [
            "rollout.yaml, line 9, phases.dev.waves[0].bake: 'soon' is not a duration; write a number and its unit, "
            "such as 90s, 10m or 1h"
        ],
    ),
    "a bake time of months": (
        f"{DEV}    waves: [{{name: all, rest: true, bake: 999h}}]\n",
        ["rollout.yaml, line 9, phases.dev.waves[0].bake: 999h is longer than seven days; give a shorter time"],
    ),
    "a wave of everything and nothing": (
        f"{DEV}    waves: [{{name: one}}, {{name: two, count: 1, percent: 50}}, {{name: rest, rest: true}}]\n",
        [
            "rollout.yaml, line 9, phases.dev.waves[0]: wave one gives nothing; give exactly one of accounts, percent, "
            "count, rest",
            "rollout.yaml, line 9, phases.dev.waves[1]: wave two gives percent and count; give exactly one of "
            "accounts, percent, count, rest",
        ],
    ),
    "a canary of another phase": (
        f'{DEV}    waves: [{{name: canary, accounts: ["333333333333"]}}, {{name: rest, rest: true}}]\n',
        [
            "rollout.yaml, line 9, phases.dev.waves[0].accounts[0]: account 333333333333 is not a target of the phase; "
            "add it to targets or take it out"
        ],
    ),
    "an account in two waves": (
        f"{DEV}    waves:\n"
        '      - {name: canary, accounts: ["111111111111"]}\n'
        '      - {name: second, accounts: ["111111111111"]}\n'
        "      - {name: rest, rest: true}\n",
        [
            "rollout.yaml, line 11, phases.dev.waves[1].accounts[0]: account 111111111111 is in wave canary already; "
            "name it once"
        ],
    ),
    "two waves of one name": (
        f"{DEV}    waves: [{{name: a, count: 1}}, {{name: a, rest: true}}]\n",
        ["rollout.yaml, line 9, phases.dev.waves: 2 waves are called a; give each a name of its own"],
    ),
    "waves that leave accounts over": (
        f"{DEV}    waves: [{{name: half, percent: 50}}]\n",
        [
            "rollout.yaml, line 9, phases.dev.waves: no wave takes the accounts that are left; end with {name: rest, "
            "rest: true}"
        ],
    ),
    "a rest that is not the last": (
        f"{DEV}    waves: [{{name: rest, rest: true}}, {{name: half, percent: 50}}]\n",
        [
            "rollout.yaml, line 9, phases.dev.waves[0].rest: nothing is left after rest: true; make it the last wave",
        ],
    ),
    "two rests": (
        f"{DEV}    waves: [{{name: a, rest: true}}, {{name: b, rest: true}}]\n",
        ["rollout.yaml, line 9, phases.dev.waves[0].rest: nothing is left after rest: true; make it the last wave"],
    ),
    "a rest that is false": (
        f"{DEV}    waves: [{{name: a, rest: false}}]\n",
        ["rollout.yaml, line 9, phases.dev.waves[0].rest: must be True"],
    ),
    "a percentage of more than all": (
        f"{DEV}    waves: [{{name: a, percent: 101}}, {{name: b, rest: true}}]\n",
        ["rollout.yaml, line 9, phases.dev.waves[0].percent: must be at most 100"],
    ),
    "a percentage that is a truth value": (
        f"{DEV}    waves: [{{name: a, percent: true}}, {{name: b, rest: true}}]\n",
        ["rollout.yaml, line 9, phases.dev.waves[0].percent: must be a whole number"],
    ),
    "a wave of no account": (
        f"{DEV}    waves: [{{name: a, count: 0}}, {{name: b, rest: true}}]\n",
        ["rollout.yaml, line 9, phases.dev.waves[0].count: must be at least 1"],
    ),
    "no account at a time": (
        f"{DEV}    concurrency: {{max_concurrent: 0}}\n",
        [
            "rollout.yaml, line 9, phases.dev.concurrency.max_concurrent: 0 deploys to no account at a time; write 1 "
            "or more, or a percentage such as 25%"
        ],
    ),
    "more than all accounts at a time": (
        f"{DEV}    concurrency: {{max_concurrent: 101%}}\n",
        ["rollout.yaml, line 9, phases.dev.concurrency.max_concurrent: 101% is more than all; write at most 100%"],
    ),
    "a share that is none": (
        f"{DEV}    concurrency: {{failure_tolerance: some}}\n",
        [
            "rollout.yaml, line 9, phases.dev.concurrency.failure_tolerance: 'some' is not a share of accounts; write "
            "a number such as 5 or a percentage such as 25%"
        ],
    ),
    "a tolerance of every account": (
        f"{DEV}    concurrency: {{failure_tolerance: 2}}\n",
        [
            "rollout.yaml, line 9, phases.dev.concurrency.failure_tolerance: every account may fail: the phase has 2; "
            "write at most 1"
        ],
    ),
    "a tolerance of all percent": (
        f"{DEV}    concurrency: {{failure_tolerance: 100%}}\n",
        [
            "rollout.yaml, line 9, phases.dev.concurrency.failure_tolerance: every account may fail at 100%; leave "
            "some that must not"
        ],
    ),
    "mistakes of every kind at once, in the order of the file": (
        "tooling:\n"
        "  account: 888888888888\n"
        "phases:\n"
        "  dev:\n"
        "    environment: environments/dev.json\n"
        '    targets: {accounts: ["111111111111"]}\n'
        "    regions: [eu-wset-1, us-east-1]\n"
        "    parameters: {SourcePort: 0x10}\n"
        "    waves: [{name: half, percent: 50}]\n"
        "    leaveout: []\n"
        "  prod:\n"
        "    environment: environments/prod.json\n"
        "    targets: {}\n"
        "    regions: [us-east-1]\n",
        [
            "rollout.yaml, line 1, tooling.parameters: is missing; add it",
            'rollout.yaml, line 2, tooling.account: quote account ids: write "888888888888", or YAML reads a number '
            "and drops leading zeros",
            "rollout.yaml, line 7, phases.dev.regions[0]: 'eu-wset-1' is not a region of AWS; did you mean eu-west-1?",
            "rollout.yaml, line 8, phases.dev.parameters.SourcePort: YAML reads 0x10 as a number; put it in quotes: "
            '"0x10"',
            "rollout.yaml, line 9, phases.dev.waves: no wave takes the accounts that are left; end with {name: rest, "
            "rest: true}",
            "rollout.yaml, line 10, phases.dev.leaveout: is not a key of this file; did you mean leave_out?",
            "rollout.yaml, line 13, phases.prod.targets: gives nothing; give exactly one of accounts, accounts_file, "
            "organizational_units",
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=list(WRONG))
def test_every_mistake_is_reported_with_its_line_and_key(
    mistakes: Callable[[str], list[str]], text: str, expected: list[str]
) -> None:
    assert mistakes(text) == expected


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RolloutFileError) as caught:
        load_rollout_file(tmp_path / "rollout.yaml")
    assert str(caught.value) == (
        f"{tmp_path}/rollout.yaml: cannot be read: No such file or directory; "
        "run from the project's root, or say where it is"
    )


def test_a_file_that_is_not_utf_8_is_reported_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "rollout.yaml"
    file.write_bytes(DEV.encode() + "# Größe\n".encode("latin-1"))
    with pytest.raises(RolloutFileError) as caught:
        load_rollout_file(file)
    assert str(caught.value) == f"{file}, line 9: is not UTF-8 text; save it as UTF-8"


def test_aliases_that_repeat_billions_of_values_are_refused(mistakes: Callable[[str], list[str]]) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    found = mistakes(bomb)
    assert [line for line in found if "alias" in line] == [
        "rollout.yaml, line 1, a3[7][9][0][0]: aliases repeat more than 10,000 values; write them out"
    ]


def test_an_alias_inside_of_itself_is_refused(mistakes: Callable[[str], list[str]]) -> None:
    assert mistakes(f"{DEV}    leave_out: &a [*a]\n") == [
        "rollout.yaml, line 9, phases.dev.leave_out[0]: the alias is inside of what it repeats; write the value out"
    ]


def test_aliases_may_share_what_phases_have_in_common(read: Load) -> None:
    text = f"{DEV}    waves: &waves [{{name: one, count: 1}}, {{name: rest, rest: true}}]\n"
    text += (
        '  prod:\n    environment: x\n    targets: {accounts: ["333333333333"]}\n    regions: [us-east-1]\n'
        "    waves: *waves\n"
    )
    assert read(text).phases["prod"].waves == read(text).phases["dev"].waves


def test_nesting_without_end_is_refused(mistakes: Callable[[str], list[str]]) -> None:
    assert mistakes("[" * 5000) == ["rollout.yaml: the file is nested too deeply; rollout.yaml needs six levels"]


def test_of_very_many_mistakes_the_first_hundred_are_reported(mistakes: Callable[[str], list[str]]) -> None:
    found = mistakes(DEV + "".join(f"    key{number}: 1\n" for number in range(250)))
    assert len(found) == 101
    assert found[-1] == "and 150 more mistakes"


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("true", "true"),
        ("False", "false"),
        ("5432", "5432"),
        ("-1", "-1"),
        ("1.50", "1.50"),
        ("888888888888", "888888888888"),
        ('"0012"', "0012"),
        ("''", ""),
        ("03:00-03:30", "03:00-03:30"),
        ("10.0.0.0/16", "10.0.0.0/16"),
    ],
)
def test_a_parameter_becomes_the_text_that_the_aws_cli_would_be_given(read: Load, written: str, given: str) -> None:
    assert read(f"{DEV}    parameters: {{Key: {written}}}\n").phases["dev"].parameters == {"Key": given}


def test_a_share_of_accounts_may_be_a_number_or_a_percentage(read: Load) -> None:
    operations = (
        read(f"{DEV}    concurrency: {{max_concurrent: 25%, failure_tolerance: 1}}\n").phases["dev"].concurrency
    )
    assert (operations.max_concurrent, operations.failure_tolerance) == ("25%", "1")


def test_the_tooling_account_may_have_values_for_its_home_region(read: Load) -> None:
    home = "  region: us-west-2\n  region_parameters: {us-west-2: {AccessLogsBucket: logs}}\n"
    assert read(DEV.replace("phases:", f"{home}phases:")).home == "us-west-2"


def test_units_need_no_accounts_before_aws_is_asked(read: Load) -> None:
    text = f"{HEAD}    targets: {{organizational_units: [ou-ab12-cdef3456]}}\n    regions: [us-east-1]\n"
    text += '    account_parameters: {"111111111111": {MultiAZ: true}}\n    concurrency: {failure_tolerance: 3}\n'
    assert (
        read(f"{text}stacksets: {{permission_model: SERVICE_MANAGED, call_as: DELEGATED_ADMIN}}\n").accounts("dev")
        == ()
    )
