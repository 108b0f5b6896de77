"""The store of a run's artifacts or cache: a folder, or a URL with copies on this machine.

A folder store contains folders, and every folder is complete or absent. A URL can be of any file
system that fsspec supports (https://filesystem-spec.readthedocs.io). There, a folder's files are
uploaded first and its SHA256SUMS last, so a folder with SHA256SUMS is complete. A reader gets a
local copy. It is downloaded once, checked against SHA256SUMS, and downloaded again when SHA256SUMS
has changed.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import fsspec
from fsspec.utils import get_protocol

from search.errors import ArtifactError, BadInput, FolderStoreError, shortened
from search.files import remote
from search.files.atomic import CHECKSUMS, alone, damaged_files, replace_file, written_whole
from search.files.disk import check_writable
from search.files.paths import expanded

COPIES = Path("~/.cache/retort/copies")
"""Each machine's copies of the folders at URLs. They may be removed to free disk space."""

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/{1,3}(?P<rest>[^?#]*)")
_PAUSES_S = (1.0, 5.0)
# Wait longer for an upload, since a failed one loses the data.
_LONG_PAUSES_S = (*_PAUSES_S, 20.0, 60.0)

_Answer = TypeVar("_Answer")


def is_url(address: str) -> bool:
    """Return whether the address is a URL, not a path."""
    return _URL.match(address) is not None or "://" in address


def check_url(address: str) -> None:
    """Raise ValueError if a URL can't be a folder store.

    The message continues a sentence that starts with the name of the setting.
    """
    match = _URL.fullmatch(address)
    if match is None:
        raise ValueError(
            "must be a folder, or a URL without options, such as s3://bucket/folder: set options "
            "in the environment or in the file system's own configuration file"
        )
    if ":" in match["rest"].rpartition("@")[0]:
        raise ValueError(
            "must be a URL without a password, which would be stored: set it in the environment or "
            "in the file system's own configuration file"
        )
    if ".." in match["rest"].split("/"):
        raise ValueError("must be a URL without `..`")
    if match["scheme"] == "memory":
        raise ValueError(
            "must be shared by processes, but memory: belongs to one process: name a folder"
        )


@dataclass(frozen=True)
class FolderStore:
    """A folder that contains folders; every one of these is complete or absent.

    Attributes:
        address: an absolute path, or a URL.
    """

    address: str

    @classmethod
    def of(cls, address: str | Path) -> Self:
        """Return the folder store at an address; a path is relative to the current folder."""
        if is_url(str(address)):
            return cls(str(address).rstrip("/"))
        try:
            return cls(str(Path(expanded(str(address))).resolve()))
        except ValueError as error:
            raise BadInput(f"a folder {error}") from None

    def __truediv__(self, name: str) -> Self:
        return type(self)(f"{self.address}/{name}")

    def __str__(self) -> str:
        return self.address

    @property
    def parent(self) -> Self:
        """The folder store that contains this one."""
        return type(self)(self.address.rpartition("/")[0] or "/")

    @property
    def is_remote(self) -> bool:
        """Whether it is at a URL."""
        return is_url(self.address)

    @property
    def folder(self) -> Path:
        """The folder on this machine: the store itself, or the local copies of its folders."""
        match = _URL.fullmatch(self.address)
        if match is None:
            return Path(self.address)
        return COPIES.expanduser() / match["scheme"] / match["rest"].strip("/")

    def check(self) -> None:
        """Check that a URL's file system is installed and answers.

        Raises:
            BadInput: fsspec does not know it, or a package of it is missing.
            FolderStoreError: it does not answer.
        """
        if self.is_remote:
            self._asked(lambda files, root: files.exists(root))

    def check_writable(self) -> None:
        """Check that a local folder is writable. A URL is not checked: only an upload can show it.

        Raises:
            DiskError: it is not writable.
        """
        if not self.is_remote:
            check_writable(self.folder)

    @contextmanager
    def writing(
        self, name: str, *, durable: bool = True, check: Callable[[], None] = lambda: None
    ) -> Iterator[Path]:
        """Yield a temporary folder that becomes `name` when the block ends without an error.

        Args:
            name: the folder's name.
            durable: as for `written_whole`. The durability of an upload depends on the URL's file
                system.
            check: called as the last step before the folder becomes visible. An exception that it
                raises cancels the write.

        Raises:
            FolderStoreError: the upload failed; then no folder of that name exists at the URL.
            DiskError: the disk has no room for it, or is not writable.
        """
        here = self.folder / name
        if not self.is_remote:
            with written_whole(here, durable=durable, sealed=lambda whole: check()) as temporary:
                yield temporary
            return

        def put(whole: Path) -> None:
            check()
            self._asked(
                lambda files, root: remote.put(files, whole, f"{root}/{name}"),
                pauses_s=_LONG_PAUSES_S,
            )

        with written_whole(here, durable=False, sealed=put) as temporary:
            yield temporary

    @contextmanager
    def making(self, name: str, log: Callable[[str], None]) -> Iterator[None]:
        """Hold a lock, so that only one process of this machine looks for `name` and creates it.

        A second process logs that it waits, waits, and then finds the folder. On a file system that
        machines share, processes of other machines wait too.
        """
        lock = self.folder / f".{name}.lock"
        text = f"another process is creating {self}/{name}: waiting for it"
        with alone(lock, waiting=lambda: log(text)):
            yield

    def fetched(self, name: str) -> Path:
        """Return the local path of the folder `name`, which is absent if the store lacks it.

        For a URL, the folder is downloaded if the local copy is missing or outdated.

        Raises:
            ArtifactError: files at the URL are missing or damaged.
            FolderStoreError: the URL does not answer.
        """
        here = self.folder / name
        if not self.is_remote:
            return here
        listed = self._asked(
            lambda files, root: remote.content(files, f"{root}/{name}/{CHECKSUMS}")
        )
        if listed is None:
            shutil.rmtree(here, ignore_errors=True)
        elif damaged_files(here) or (here / CHECKSUMS).read_bytes() != listed:
            self._fetch(name, listed)
        return here

    def kept(self, name: str) -> Path | None:
        """Return the folder `name` if it exists and is undamaged; otherwise None.

        Raises:
            FolderStoreError: the URL does not answer.
        """
        try:
            here = self.fetched(name)
        except FolderStoreError:
            raise
        except ArtifactError:
            return None
        return here if here.is_dir() and not damaged_files(here) else None

    def names(self) -> list[str]:
        """Return the names of its contents, complete or not; for a URL, also of the local copies.

        Raises:
            FolderStoreError: the URL does not answer.
        """
        here = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        return sorted(here | self._asked(remote.names) if self.is_remote else here)

    def read(self, name: str) -> bytes | None:
        """Return the content of the file `name`, never from a local copy; None if it is missing.

        Raises:
            FolderStoreError: the URL does not answer.
            OSError: the file can't be read.
        """
        if self.is_remote:
            return self._asked(lambda files, root: remote.content(files, f"{root}/{name}"))
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def replace(self, name: str, content: bytes) -> None:
        """Replace the content of the file `name`, atomically.

        Raises:
            FolderStoreError: the upload failed.
            OSError: the file can't be written.
        """
        if self.is_remote:
            self._asked(lambda files, root: remote.put_file(files, f"{root}/{name}", content))
        else:
            replace_file(self.folder / name, content)

    def move(self, name: str, aside: str) -> None:
        """Rename a complete folder; the new name may contain a `/`.

        Raises:
            ArtifactError: files at the URL are missing or damaged.
            FolderStoreError: the URL does not answer.
        """
        here, there = self.fetched(name), self.folder / aside
        if self.is_remote:
            self._asked(lambda files, root: remote.put(files, here, f"{root}/{aside}"))
            self.remove(name)
            return
        there.parent.mkdir(parents=True, exist_ok=True)
        here.rename(there)

    def remove(self, name: str) -> None:
        """Remove a folder or a file.

        Raises:
            FolderStoreError: the URL does not answer.
        """
        if self.is_remote:
            self._asked(lambda files, root: remote.remove(files, f"{root}/{name}"))
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def _fetch(self, name: str, listed: bytes) -> None:
        def get(files: Any, root: str) -> None:
            with written_whole(self.folder / name, durable=False) as temporary:
                damaged = remote.get(files, f"{root}/{name}", temporary, listed)
                if damaged:
                    raise ArtifactError(
                        f"the files in {self.address}/{name} must have their recorded "
                        f"checksums, but these differ: {', '.join(damaged)}. Restore them, or "
                        "remove the folder"
                    )

        self._asked(get)

    def _asked(
        self, ask: Callable[[Any, str], _Answer], *, pauses_s: Sequence[float] | None = None
    ) -> _Answer:
        """Return the answer of the URL's file system; after an error, retry after each pause."""
        failed: Exception | None = None
        for pause_s in (0.0, *(_PAUSES_S if pauses_s is None else pauses_s)):
            time.sleep(pause_s)
            try:
                return ask(*self._opened(anew=failed is not None))
            except (ArtifactError, BadInput):
                raise
            except Exception as error:  # noqa: BLE001  each file system has its own exception types
                failed = error
        assert failed is not None
        reason = shortened(failed) or type(failed).__name__
        raise FolderStoreError(
            f"{self.address} can't be reached ({reason}): check the network, the credentials and "
            "the permissions"
        ) from failed

    def _opened(self, *, anew: bool) -> tuple[Any, str]:
        """Return the URL's file system and root; `anew` drops a cached connection."""
        try:
            if anew:
                protocol = get_protocol(self.address)
                fsspec.get_filesystem_class(protocol).clear_instance_cache()
            files, root = fsspec.url_to_fs(self.address)
        except (ValueError, ImportError) as error:
            raise BadInput(f"{self.address} can't be opened: {error}") from error
        files.invalidate_cache()  # to see changes by other processes
        return files, root.rstrip("/")
