"""What the commands share: what they print, errors in one line, tables, completion."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

import click
from click.shell_completion import get_completion_class

from actors import cores
from actors.lines import STDERR, STDIN, STDOUT, flush, lines
from emp.errors import ConfigError, EmpError
from emp.printable import printable

FAILED = 1
"""Exit code: it was asked well, and did not work."""

MISTAKE = 2
"""Exit code: what was asked, or configured, is wrong. The same as click's for wrong options."""

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What becomes of writing to a full disk, a terminal that is gone, a closed descriptor."""


def say(*parts: str | tuple[str, str], err: bool = False, bold: bool = False) -> None:
    """Print one line: parts, some with a colour: (text, colour). Whoever wrote the text, it is one
    line and steers no terminal."""
    click.echo(_line(parts, bold), err=err)


def call(*parts: str | tuple[str, str], err: bool = False, bold: bool = False) -> None:
    """The same for what runs a loop, which nobody who reads may hold up (`actors.lines`)."""
    stream: TextIO | None = sys.stderr if err else sys.stdout
    text = _line(parts, bold)
    own: TextIO | None = sys.__stderr__ if err else sys.__stdout__
    if stream is None or stream is not own:
        click.echo(text, err=err)  # closed, or a test's
    else:
        lines(STDERR if err else STDOUT).put(text if stream.isatty() else click.unstyle(text))


def _line(parts: Sequence[str | tuple[str, str]], bold: bool) -> str:
    texts = [(part, None) if isinstance(part, str) else part for part in parts]
    return "".join(click.style(printable(text), fg=fg, bold=bold or None) for text, fg in texts)


def say_json(value: Any, indent: int | None = None) -> None:
    """Print JSON: ASCII without controls."""
    click.echo(json.dumps(value, indent=indent).replace("\x7f", "\\u007f"))


def complain(error: EmpError) -> int:
    """Print the error in one line; returns the exit code that fits it."""
    first, *rest = str(error).split("\n")
    call((f"error: {first or type(error).__name__}", "red"), err=True)
    for line in rest:
        call((f"       {line}", "red"), err=True)
    return MISTAKE if isinstance(error, ConfigError) else FAILED


def table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """Columns as wide as their widest cell, two blanks between them."""
    cells = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def run_command(command: click.Command, name: str) -> int:
    """Run a click command as a program; returns its exit code. Ctrl-C ends it without a
    traceback."""
    _hold_standard_streams()
    cores.refuse()
    code = _run(command, name)
    if not flush():
        os._exit(code)  # Python would wait for whoever reads
    return code


def _run(command: click.Command, name: str) -> int:
    try:
        result = command.main(prog_name=name, standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code
    except EmpError as error:
        return complain(error)
    except BrokenPipeError:  # `| head` has seen enough
        _forget_output()
        return FAILED
    except OSError as error:
        if error.errno not in UNWRITABLE or error.filename is not None:
            raise
        _forget_output()
        return complain(EmpError(f"cannot write the output: {error.strerror}"))
    return result if isinstance(result, int) else 0


def _hold_standard_streams() -> None:
    """Give 0, 1 and 2 to nothing where they are closed: a socket with one of these numbers would
    get what is printed, here and in processes that are started."""
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing == descriptor:
                os.set_inheritable(nothing, True)
            else:
                os.dup2(nothing, descriptor)
                os.close(nothing)
    sys.stdout = sys.stdout or _text(STDOUT)
    sys.stderr = sys.stderr or _text(STDERR)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a test's
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _text(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", closefd=False)


def _forget_output() -> None:
    """What Python could not write, it would try again at the end, and complain."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, STDOUT)
    os.close(nothing)


def completion_script(command: click.Command, program: str, shell: str) -> str:
    """The script that makes `shell` complete the words of `program`."""
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    found = get_completion_class(shell)
    if found is None:
        raise EmpError(f"there is no completion for {shell}")
    return found(command, {}, program, variable).source()
