"""Programs of Node.js: their packages are installed once, into build/, which git ignores."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path


class NpmError(Exception):
    """npm is missing or could not install something; the message says what it said."""


def folder_of(source: Path, cache: Path) -> Path:
    """Where `install` puts the program of the folder `source`: another place for each version."""
    contents = b"".join(path.read_bytes() for path in sorted(source.iterdir()))
    return cache / f"{source.name}-{hashlib.sha256(contents).hexdigest()[:16]}"


def install(source: Path, cache: Path) -> Path:
    """A copy of `source` below `cache`, with the packages of its package.json; made when missing.

    Raises NpmError.
    """
    folder = folder_of(source, cache)
    if (folder / "node_modules").is_dir():
        return folder
    if shutil.which("npm") is None:
        raise NpmError("npm is not installed. On Debian or Ubuntu: apt-get install nodejs npm")
    scratch = folder.with_suffix(".new")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(source, scratch)
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"],
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NpmError(f"npm cannot install what {source.name} needs:\n{done.stderr.strip()}")
    shutil.rmtree(folder, ignore_errors=True)
    scratch.replace(folder)
    return folder
