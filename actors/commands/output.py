"""What both commands share: errors in one line, tables, completion."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from click.shell_completion import get_completion_class

from emp.errors import ConfigError, EmpError

FAILED = 1
"""Exit code: it was asked well, and did not work."""

MISTAKE = 2
"""Exit code: what was asked, or configured, is wrong. The same as click's for wrong options."""


def complain(error: EmpError) -> int:
    """Print the error in one line; returns the exit code that fits it."""
    first, *rest = str(error).splitlines() or [type(error).__name__]
    click.secho(f"error: {first}", fg="red", err=True)
    for line in rest:
        click.secho(f"       {line}", fg="red", err=True)
    return MISTAKE if isinstance(error, ConfigError) else FAILED


def table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """Columns as wide as their widest cell, two blanks between them."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def run_command(command: click.Command, name: str) -> int:
    """Run a click command as a program; returns its exit code. Ctrl-C ends it without a
    traceback."""
    try:
        result = command.main(prog_name=name, standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        click.echo("", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except EmpError as error:
        return complain(error)
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    return result if isinstance(result, int) else 0


def completion_script(command: click.Command, program: str, shell: str) -> str:
    """The script that makes `shell` complete the words of `program`."""
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    found = get_completion_class(shell)
    if found is None:
        raise EmpError(f"there is no completion for {shell}")
    return found(command, {}, program, variable).source()
