"""The image files below a folder, and what is not used of its content, by kind.

A link is followed if its target is inside the data set's folder, or if the study file allows more.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from search.data.image_kinds import BROKEN_LINK, HIDDEN, LINK_OUT, LINK_UP, SUFFIXES, suffix_of


@dataclass(frozen=True, kw_only=True)
class FoundFiles:
    """The content of a folder, with all folders below it.

    Attributes:
        images: the paths of the files with an image's suffix, damaged or not, sorted.
        unused: the number of the other entries, by kind.
        linked: the real paths of those images that were found through a link.
    """

    images: tuple[str, ...] = ()
    unused: Counter[str] = field(default_factory=Counter)
    linked: frozenset[str] = frozenset()

    def __add__(self, other: "FoundFiles") -> "FoundFiles":
        return FoundFiles(
            images=tuple(sorted(self.images + other.images)),
            unused=self.unused + other.unused,
            linked=self.linked | other.linked,
        )

    @property
    def is_empty(self) -> bool:
        """Whether there are no files, except hidden ones."""
        return not self.images and self.unused.keys() <= {HIDDEN}


@dataclass(frozen=True, kw_only=True)
class LinkRules:
    """Which links are followed.

    Attributes:
        root: the real path of the data set's folder.
        follow: whether links may lead out of it.
    """

    root: Path
    follow: bool

    def refusal(self, path: Path) -> str | None:
        """Return the kind of a path that is not followed; None if it is followed."""
        if not path.exists():
            return BROKEN_LINK
        if not self.follow and not path.resolve().is_relative_to(self.root):
            return LINK_OUT
        return None


def find_images(folder: Path, rules: LinkRules) -> FoundFiles:
    """Find the images below a folder, which may itself be a link.

    Args:
        folder: the folder, as a path that starts with the rules' root.
        rules: the rules for links.

    Raises:
        OSError: a folder can't be listed.
    """
    if refusal := rules.refusal(folder):
        return FoundFiles(unused=Counter([refusal]))
    walk = _Walk(rules, [str(folder)])
    # Links come last, so that a folder is read by its own path if it has one below `folder`.
    while walk.links:
        walk.read(walk.links.pop(0))
    return FoundFiles(
        images=tuple(sorted(walk.images)), unused=walk.unused, linked=frozenset(walk.linked)
    )


@dataclass
class _Walk:
    """A walk over a folder. It reads each real folder once, so that links in a circle end it.

    Attributes:
        rules: the rules for links.
        links: the linked folders that are still to be read.
        visited: the real paths of the folders that have been read.
        images, unused, linked: as in `FoundFiles`.
    """

    rules: LinkRules
    links: list[str]
    visited: set[str] = field(default_factory=set)
    images: list[str] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)
    linked: set[str] = field(default_factory=set)

    def read(self, folder: str) -> None:
        """Read a folder and the folders below it, but keep linked folders for later."""
        waiting = [folder]
        while waiting:
            folder = waiting.pop()
            real = str(Path(folder).resolve())
            if real in self.visited:
                continue
            self.visited.add(real)
            for entry in _entries(folder):
                if entry.name.startswith("."):
                    self.unused[HIDDEN] += 1
                elif entry.is_symlink():
                    self._add_link(entry, Path(real))
                elif entry.is_dir():
                    waiting.append(entry.path)
                else:
                    self._add_file(entry, is_linked=real != folder)

    def _add_link(self, entry: os.DirEntry[str], parent: Path) -> None:
        if refusal := self.rules.refusal(Path(entry.path)):
            self.unused[refusal] += 1
        elif not entry.is_dir():
            self._add_file(entry, is_linked=True)
        elif parent.is_relative_to(Path(entry.path).resolve()):
            self.unused[LINK_UP] += 1
        else:
            self.links.append(entry.path)

    def _add_file(self, entry: os.DirEntry[str], *, is_linked: bool) -> None:
        if Path(entry.name).suffix.lower() not in SUFFIXES:
            self.unused[suffix_of(entry.name)] += 1
            return
        self.images.append(entry.path)
        if is_linked:
            self.linked.add(str(Path(entry.path).resolve()))


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from sorted(entries, key=lambda entry: entry.name)
