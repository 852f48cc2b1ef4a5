"""Measures `build-templates` against the plain ways to do the same, as ratios of commands that run turn by turn.

    python -m benchmarks.build [--runs 5] [--only cold] [--json] [--page]

Run it from the project's root; `make benchmark` does. Each turn runs every command of a group once, so that a busy
machine slows all of them, and a ratio is one of two commands of the same turn: the table has their median and the
lowest and highest. CPU seconds are those of a process with all its children; memory is the peak of the largest of
them. Byte code is there, as after the first run on any machine; what Stackferry remembers is there only where the
name of the command says so. With --page, docs/performance.md gets the table and a chart.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median

import click
import yaml

from benchmarks import performance_page, plain_scripts
from builders import progress

ROOT = Path(__file__).parents[1]
CHANGED = "database"
"""The layer that is changed, and asked for alone: nine resources, one of them the dearest of all to lint."""

_LAUNCHER = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
error = process.stderr.read()
_, status, used = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
wall = time.perf_counter() - start
# Linux gives KiB, macOS bytes (getrusage(2) of each)
peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
failed = process.returncode < 0 or b"Traceback" in error or b"a defect of" in error
print(int(failed), wall, used.ru_utime + used.ru_stime, peak)
sys.stderr.write(error.decode(errors="replace")[-2000:])
"""
"""Runs a command from a small process: one that is started from this one would have its peak of memory, too."""


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of a group: its name in the tables, its words, its folder, and what is done before each run."""

    name: str
    words: Sequence[str]
    folder: Path
    prepare: Callable[[], None] = lambda: None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Usage:
    """The cost of one run: seconds by the clock, seconds of processors, and bytes."""

    wall: float
    cpu: float
    peak: int


@dataclasses.dataclass(frozen=True)
class Figure:
    """A ratio that is stated: of a command to another one, in one measure, and what it may be at most."""

    command: str
    against: str
    measure: str
    goal: float | None = None


@dataclasses.dataclass(frozen=True)
class Group:
    """Commands that run turn by turn, the ratios among them, and the share of the turns that are run."""

    name: str
    commands: Callable[[], list[Command]]
    figures: Sequence[Figure]
    share: float = 1.0


PASS, PLAIN, BUILD = "python -c pass", "plain troposphere script", "build-templates --no-lint --no-cache"
CFN_LINT, CFN_LINT_RULES = "cfn-lint on the same files", "cfn-lint with Stackferry's rules on the same files"
LINTED = "build-templates, nothing remembered"
UNCHANGED, CHECKED = "build-templates, nothing changed", "build-templates --check, nothing changed"
HELP, CDK = "build-templates --help", "AWS CDK, the same resources"
ONE_LINT, ONE_CHANGED = "cfn-lint on that file", "build-templates, one layer changed"
ONE_ASKED = "build-templates for one layer, nothing remembered"


class Workplace:
    """A folder with copies of the project, in which the commands run, and with byte code and caches of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"
        shutil.copytree(ROOT / "src", self.project / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for name in ("environments", "lambda"):
            shutil.copytree(ROOT / name, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / ".cfnlintrc", self.project)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPATH": str(self.project / "src"),
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "NO_COLOR": "1",
        }
        self.plain = folder / "plain"
        self.plain.mkdir()
        # The same regions, and none of our rules: cfn-lint reads the file of the current folder.
        configured = yaml.safe_load((ROOT / ".cfnlintrc").read_text(encoding="utf-8"))
        (self.plain / ".cfnlintrc").write_text(json.dumps({"regions": configured["regions"]}), encoding="utf-8")

    def forget(self) -> None:
        """Remove what earlier runs remembered and wrote."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        shutil.rmtree(self.project / "templates", ignore_errors=True)

    def build(self, name: str, *options: str, prepare: Callable[[], None] = lambda: None) -> Command:
        """A command line of `build-templates` in the project, as the installed command begins."""
        begun = "import sys; from builders.start import build_templates; sys.exit(build_templates())"
        return Command(name, [sys.executable, "-c", begun, *options], self.project, prepare)

    def cfn_lint(self, name: str, files: Sequence[str], *, rules: bool = False) -> Command:
        """The command `cfn-lint` on files of the project."""
        words = [sys.executable, "-c", "from cfnlint.runner import main; main()", *files]
        return Command(name, words, self.project if rules else self.plain)

    def templates(self) -> dict[str, dict[str, object]]:
        """The templates that the project makes, which are written now, by layer."""
        self.forget()
        self.run(self.build("", "--no-lint"))
        files = sorted((self.project / "templates").glob("*.json"))
        return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}

    def files(self, *layers: str) -> list[str]:
        """The files of layers, or of all."""
        folder = self.project / "templates"
        return [str(folder / f"{name}.json") for name in layers] or sorted(map(str, folder.glob("*.json")))

    def plain_script(self, name: str, templates: Mapping[str, Mapping[str, object]]) -> Command:
        """The plain troposphere script for templates; exits when it does not make the very same."""
        folder, output = self.folder / f"script-{name}", self.folder / f"script-{name}-output"
        output.mkdir(exist_ok=True)
        script = plain_scripts.write_troposphere(templates, folder)
        command = Command(PLAIN, [sys.executable, str(script), str(output)], folder)
        self.run(command)
        for layer, template in templates.items():
            if json.loads((output / f"{layer}.json").read_text(encoding="utf-8")) != template:
                sys.exit(f"the plain troposphere script makes another template for {layer}; mend plain_scripts.py")
        return command

    def run(self, command: Command) -> Usage:
        """Run a command once. Exits with its words when it fails; findings of a lint are no failure."""
        command.prepare()
        launched = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command.words]
        environment = {**self.environment, **command.environment}
        finished = subprocess.run(
            launched, cwd=command.folder, env=environment, capture_output=True, text=True, check=False
        )
        failed, wall, cpu, peak = finished.stdout.split() if finished.returncode == 0 else ("1", "0", "0", "0")
        if failed == "1":
            sys.exit(f"{' '.join(command.words)[:300]} fails:\n{finished.stderr}")
        return Usage(float(wall), float(cpu), int(peak))


def groups(place: Workplace) -> Iterator[Group]:
    """Yield what is measured, in the order of the tables."""

    def cold() -> list[Command]:
        return [
            Command(PASS, [sys.executable, "-c", "pass"], place.folder),
            place.plain_script("all", place.templates()),
            place.build(BUILD, "--no-lint", "--no-cache", prepare=place.forget),
            place.build(HELP, "--help"),
        ]

    yield Group(
        "cold",
        cold,
        [Figure(BUILD, PLAIN, "cpu", 0.6), Figure(BUILD, PASS, "cpu"), Figure(HELP, PASS, "cpu")],
    )

    def remembered() -> list[Command]:
        place.forget()
        for option in ((), ("--check",)):
            place.run(place.build("", *option))
        return [
            Command(PASS, [sys.executable, "-c", "pass"], place.folder),
            place.build(UNCHANGED),
            place.build(CHECKED, "--check"),
        ]

    yield Group(
        "unchanged",
        remembered,
        [
            Figure(UNCHANGED, PASS, "wall", 6),
            Figure(UNCHANGED, PASS, "cpu"),
            Figure(CHECKED, PASS, "wall", 6),
            Figure(CHECKED, PASS, "cpu"),
        ],
    )

    def linted() -> list[Command]:
        place.templates()
        return [
            place.cfn_lint(CFN_LINT, place.files()),
            place.cfn_lint(CFN_LINT_RULES, place.files(), rules=True),
            place.build(LINTED, prepare=place.forget),
        ]

    yield Group(
        "lint",
        linted,
        [
            Figure(LINTED, CFN_LINT, "wall", 0.35),
            Figure(LINTED, CFN_LINT, "cpu", 0.6),
            Figure(LINTED, CFN_LINT, "peak", 1.2),
            Figure(LINTED, CFN_LINT_RULES, "cpu"),
        ],
        share=0.6,
    )

    def one() -> list[Command]:
        place.forget()
        place.run(place.build(""))
        module = place.project / "src" / "builders" / "layers" / f"{CHANGED}.py"
        source = module.read_text(encoding="utf-8")
        changes = iter(range(1_000_000))

        def change() -> None:
            first, rest = source.split(".", 1)
            module.write_text(f"{first} {next(changes)}.{rest}", encoding="utf-8")

        other_cache = place.folder / "other-cache"

        def forget() -> None:
            shutil.rmtree(other_cache, ignore_errors=True)

        asked = place.build(ONE_ASKED, CHANGED, prepare=forget)
        changed = place.build(ONE_CHANGED, prepare=change)
        place.run(changed)
        return [
            place.cfn_lint(ONE_LINT, place.files(CHANGED)),
            changed,
            dataclasses.replace(asked, environment={"XDG_CACHE_HOME": str(other_cache)}),
        ]

    yield Group(
        "one",
        one,
        [
            Figure(ONE_CHANGED, ONE_LINT, "wall", 0.5),
            Figure(ONE_CHANGED, ONE_LINT, "cpu", 0.5),
            Figure(ONE_ASKED, ONE_LINT, "wall"),
            Figure(ONE_ASKED, ONE_LINT, "cpu"),
        ],
        share=0.6,
    )
    for count in (10, 50, 200):
        yield _synthetic(place, f"{count} templates", dict.fromkeys(range(count), 8))
    for count in (100, 500):
        yield _synthetic(place, f"{count} resources", {0: count})
    yield Group("cdk", lambda: _cdk(place), [Figure(BUILD, CDK, "cpu"), Figure(PLAIN, CDK, "cpu")], share=0.6)


_MADE_LAYER = '''"""A layer of {resources} resources, made to be measured."""

from troposphere import GetAtt, Ref, Sub, cloudwatch, logs, sns, sqs

from builders.stack import Scope, Stack

SCOPE = Scope.PHASE


def build(stack: Stack) -> None:
    """Add topics, queues, log groups and alarms."""
    for number in range({resources} // 4):
        topic = stack.add(sns.Topic(f"Topic{{number}}", KmsMasterKeyId=Sub("alias/key-${{EnvironmentSuffix}}")))
        queue = stack.add(sqs.Queue(f"Queue{{number}}", SqsManagedSseEnabled=True, MessageRetentionPeriod=1209600))
        stack.add(
            logs.LogGroup(
                f"Log{{number}}", RetentionInDays=400, DeletionPolicy="Retain", UpdateReplacePolicy="Retain"
            )
        )
        stack.add(
            cloudwatch.Alarm(
                f"Alarm{{number}}",
                AlarmActions=[topic.ref()],
                ComparisonOperator="GreaterThanThreshold",
                Dimensions=[cloudwatch.MetricDimension(Name="QueueName", Value=GetAtt(queue, "QueueName"))],
                EvaluationPeriods=3,
                MetricName="ApproximateAgeOfOldestMessage",
                Namespace="AWS/SQS",
                Period=60,
                Statistic="Maximum",
                Threshold=900,
                TreatMissingData="notBreaching",
            )
        )
'''


def _synthetic(place: Workplace, name: str, resources: Mapping[int, int]) -> Group:
    def commands() -> list[Command]:
        made = Workplace(place.folder / name.replace(" ", "-"))
        made.environment["PYTHONPYCACHEPREFIX"] = place.environment["PYTHONPYCACHEPREFIX"]
        layers = made.project / "src" / "builders" / "layers"
        for module in layers.glob("[!_]*.py"):
            module.unlink()
        for number, count in resources.items():
            (layers / f"made_{number:03}.py").write_text(_MADE_LAYER.format(resources=count), encoding="utf-8")
        made.environment["PYTHONPATH"] = str(made.project / "src")
        script = made.plain_script("made", made.templates())
        here = {"PYTHONPATH": made.environment["PYTHONPATH"], "XDG_CACHE_HOME": made.environment["XDG_CACHE_HOME"]}
        commands = [
            script,
            made.build(BUILD, "--no-lint", "--no-cache", prepare=made.forget),
            made.cfn_lint(CFN_LINT, made.files()),
            made.build(LINTED, prepare=made.forget),
        ]
        # cfn-lint reads the files that the last build wrote: the lint comes last and leaves them.
        return [dataclasses.replace(command, environment=here) for command in commands]

    figures = [
        Figure(BUILD, PLAIN, "cpu"),
        Figure(LINTED, CFN_LINT, "wall"),
        Figure(LINTED, CFN_LINT, "cpu"),
        Figure(LINTED, CFN_LINT, "peak"),
    ]
    return Group(name, commands, figures, share=0.2)


def _cdk(place: Workplace) -> list[Command]:
    """The three ways to the same resources; none where node or aws-cdk-lib is missing (`npm install aws-cdk-lib`)."""
    node = shutil.which("node")
    if (
        node is None
        or subprocess.run([node, "-e", "require.resolve('aws-cdk-lib')"], capture_output=True, check=False).returncode
    ):
        progress.say("cdk: not measured, since node or aws-cdk-lib is not there (npm install aws-cdk-lib constructs)")
        return []
    templates = place.templates()
    script = plain_scripts.write_cdk(templates, place.folder / "cdk")
    modules = {
        "NODE_PATH": os.pathsep.join(filter(None, [str(Path.cwd() / "node_modules"), os.environ.get("NODE_PATH")]))
    }
    return [
        place.plain_script("all", templates),
        place.build(BUILD, "--no-lint", "--no-cache", prepare=place.forget),
        Command(CDK, [node, str(script), str(place.folder / "cdk.out")], place.folder, environment=modules),
    ]


def measure(place: Workplace, group: Group, runs: int) -> dict[str, list[Usage]]:
    """Run the commands of a group turn by turn, once more than is counted, and return what each run took."""
    commands = group.commands()
    used: dict[str, list[Usage]] = {command.name: [] for command in commands}
    turns = max(1, round(runs * group.share))
    for turn in range(turns + 1 if commands else 0):
        for command in commands:
            progress.say(f"{group.name}: {'before it counts' if not turn else f'{turn} of {turns}'}: {command.name}")
            usage = place.run(command)
            if turn:
                used[command.name].append(usage)
    return used


def results(group: Group, used: Mapping[str, Sequence[Usage]]) -> Iterator[dict[str, object]]:
    """Yield each figure of a group with the median of its ratios, the lowest, the highest, and what was divided."""
    for figure in group.figures:
        if figure.command not in used:
            continue
        of, by = ([getattr(usage, figure.measure) for usage in used[name]] for name in (figure.command, figure.against))
        ratios = [one / other for one, other in zip(of, by, strict=True)]
        yield {
            "group": group.name,
            **dataclasses.asdict(figure),
            "ratio": median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
            "value": median(of),
            "baseline": median(by),
            "runs": len(ratios),
        }


def machine() -> dict[str, str]:
    """Describe what was measured on: processors, system, and the versions that matter."""
    packages = ("stackferry", "troposphere", "awacs", "cfn-lint")
    return {
        "processors": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
    }


NAMES = ("cold", "unchanged", "lint", "one", "10 templates", "50 templates", "200 templates", "100 resources",
         "500 resources", "cdk")  # fmt: skip


@click.command()
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of the quickest group.")
@click.option("--only", type=click.Choice(NAMES), multiple=True, help="Measure this group; can be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--page", is_flag=True, help="Write the table and the chart of docs/performance.md, too.")
def main(runs: int, only: Sequence[str], as_json: bool, page: bool) -> None:
    """Measure the build and its lint against the plain ways, and print ratios."""
    if page and only:
        raise click.UsageError("--page wants every figure; leave --only out")
    try:
        with tempfile.TemporaryDirectory(prefix="stackferry-benchmark-") as folder:
            place = Workplace(Path(folder))
            chosen = [group for group in groups(place) if not only or group.name in only]
            figures = [figure for group in chosen for figure in results(group, measure(place, group, runs))]
    except KeyboardInterrupt:
        progress.say("interrupted; nothing is written")
        sys.exit(130)
    measured = {"machine": machine(), "figures": figures}
    sys.stdout.write(json.dumps(measured, indent=1) + "\n" if as_json else performance_page.table(measured))
    if page:
        performance_page.write(measured, ROOT / "docs")


if __name__ == "__main__":
    main()
