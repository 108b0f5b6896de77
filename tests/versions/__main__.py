"""`python -m tests.versions --write` computes the table of fingerprints anew.

It refuses what has changed without another version, unless the libraries have: a key holds theirs.
"""

import sys

import torch

from tests.versions.table import COMMAND, installed, read, subjects, unbumped, write


def main(arguments: list[str]) -> str | None:
    """Writes the table; returns why not."""
    if arguments != ["--write"]:
        return f"usage: {COMMAND}"
    torch.set_num_threads(1)
    known, libraries = read()
    found = {name: compute() for name, compute in subjects().items()}
    if libraries == installed() and (refused := unbumped(known, found)):
        return f"bump the version of each first: {', '.join(refused)}"
    write(found)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
