"""What can go wrong, as one tree; each leaf tells the person what must hold and what to do.

RetortError                 exit 1
├── BadInput                exit 2   what a person gave can't be used
│   ├── StudyFileError               a study file, or an override of it
│   ├── DataError                    a data set
│   └── TeacherError                 a teacher
├── NoStudentFits           exit 3   the search ended without a student inside the budget
├── Interrupted             exit 130 the person stopped it
├── StoreError              exit 1   the store can't be opened, read or written
│   ├── StoreUnavailable             not now: locked, gone or full; later it may be
│   ├── NotFinite                    what was to be stored holds NaN or infinity
│   ├── DamagedRow                   what is stored was damaged, as by an edit by hand
│   └── StudyHeld                    another process runs the study
│       └── ArtifactsHeld            another store, or a copy, has its artifacts folder
├── ArtifactError           exit 1   an artifact is missing, damaged or from a newer version
│   └── DepotError                   the URL that keeps it is out of reach; an OSError too
├── DiskError               exit 1   a folder can't be written: no room, read-only; an OSError too
├── TargetError             exit 1   the machine that the budget is for does not answer
├── RayUnavailable          exit 1   the Ray that trials run on does not start or answer, or is gone
└── TrialError              exit 1   one trial can't go on; recorded, the search goes on
"""

import re

# What torch's CPU allocator, C++ and ONNX Runtime say, which have no exception of their own.
_NO_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|std::bad_alloc|bad allocation|"
    r"Cannot allocate memory|Failed to allocate memory",
    re.IGNORECASE,
)


def lacks_memory(error: BaseException) -> bool:
    """Whether it tells that memory did not suffice, as far as its words do."""
    return isinstance(error, MemoryError) or bool(_NO_MEMORY.search(str(error)))


def shortened(error: Exception, *, lines: int = 2) -> str:
    """The error's first lines, and how many there were more: torch lists every weight."""
    text = [line.strip() for line in str(error).strip().splitlines()]
    more = f" (and {len(text) - lines} more lines)" if len(text) > lines else ""
    return " ".join(text[:lines]) + more


class RetortError(Exception):
    """Every error that this project raises on purpose."""

    exit_code = 1


class BadInput(RetortError):
    """What a person gave can't be used; nothing was written."""

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
    """The person stopped the run; what had finished is in the store."""

    exit_code = 130


class StoreError(RetortError):
    """The store can't be opened, read or written."""


class StoreUnavailable(StoreError):
    """The store is locked, gone or full: what was to be written may succeed later."""


class NotFinite(StoreError):
    """What was to be stored holds a number that is not finite."""


class DamagedRow(StoreError):
    """A row of the store does not hold what was written; `study` is the one that it belongs to."""

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
