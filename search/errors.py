"""The errors, as one tree; the message of each leaf says what must hold and what to do.

RetortError                 exit 1
├── BadInput                exit 2   a person's input can't be used
│   ├── StudyFileError               a study file, or an override of it
│   ├── DataError                    a data set
│   └── TeacherError                 a teacher
├── NoStudentFits           exit 3   the search ended without a student inside the budget
├── Interrupted             exit 130 the person stopped it
├── StoreError              exit 1   the store can't be opened, read or written
│   ├── StoreUnavailable             not now: locked, gone or full; later it may be
│   ├── ImpossibleValue              a measurement to store that no network can have
│   │   └── NotFinite                it contains NaN or infinity
│   ├── DamagedRow                   a stored row was damaged, as by an edit by hand
│   └── StudyHeld                    another process runs the study
│       └── ArtifactsHeld            another store, or a copy, has its artifacts folder
├── ArtifactError           exit 1   an artifact is missing, damaged or from a newer version
│   └── FolderStoreError             the URL that contains it is out of reach; an OSError too
├── DiskError               exit 1   a folder can't be written: no room, read-only; an OSError too
├── TargetError             exit 1   the machine that the budget is for does not answer
├── RayUnavailable          exit 1   the Ray that trials run on does not start or answer, or is gone
└── TrialError              exit 1   one trial can't go on; recorded, the search goes on
"""

import re

# Messages of torch's CPU allocator, C++ and ONNX Runtime, which have no exception of their own.
_NO_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|std::bad_alloc|bad allocation|"
    r"Cannot allocate memory|Failed to allocate memory",
    re.IGNORECASE,
)


def lacks_memory(error: BaseException) -> bool:
    """Return whether the error's type or message reports that memory did not suffice."""
    return isinstance(error, MemoryError) or bool(_NO_MEMORY.search(str(error)))


def shortened(error: Exception, *, lines: int = 2) -> str:
    """Return the error's first lines, and how many more there are: torch lists every weight."""
    text = [line.strip() for line in str(error).strip().splitlines()]
    more = f" (and {len(text) - lines} more lines)" if len(text) > lines else ""
    return " ".join(text[:lines]) + more


class RetortError(Exception):
    """An error that this project raises on purpose."""

    exit_code = 1


class BadInput(RetortError):
    """A person's input can't be used; nothing was written."""

    exit_code = 2


class StudyFileError(BadInput):
    """A study file or an override is malformed."""


class DataError(BadInput):
    """A data set is missing, unreadable or unfit."""


class TeacherError(BadInput):
    """A teacher can't be loaded, or does not fit the data."""


class NoStudentFits(RetortError):
    """No student that was tried fits the budget."""

    exit_code = 3


class Interrupted(RetortError):
    """A person stopped the run; the finished results are in the store."""

    exit_code = 130


class StoreError(RetortError):
    """The store can't be opened, read or written."""


class StoreUnavailable(StoreError):
    """The store is locked, gone or full: the same write may succeed later."""


class ImpossibleValue(StoreError):
    """A value to store is one that no network can have."""


class NotFinite(ImpossibleValue):
    """A value to store contains a number that is not finite."""


class DamagedRow(StoreError):
    """A row of the store differs from what was written; `study` is the one that it belongs to."""

    def __init__(self, message: str, *, study: str) -> None:
        super().__init__(message)
        self.study = study


class StudyHeld(StoreError):
    """Another process runs the study, or took it over."""


class ArtifactsHeld(StudyHeld):
    """The artifacts folder belongs to another store, or to a newer copy of this one."""


class ArtifactError(RetortError):
    """An artifact is missing, damaged or from a newer version."""


class FolderStoreError(ArtifactError, OSError):
    """The URL of the artifacts or the cache is out of reach, or takes no file."""


class DiskError(RetortError, OSError):
    """A folder can't be written: its disk is full, read-only or broken."""


class TargetError(RetortError):
    """The machine that the budget is for does not answer, or can't measure."""


class RayUnavailable(RetortError):
    """The Ray that trials run on does not start, does not answer, or is gone."""


class TrialError(RetortError):
    """One trial can't go on; `kind` is the short name under which the store records it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
