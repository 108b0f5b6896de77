"""The exception tree; each message says what must hold, what was given and what to do.

RetortError                 exit 1
├── BadInput                exit 2   the user's input can't be used
│   ├── StudyFileError               a study file, or an override of it
│   ├── DataError                    a data set
│   └── TeacherError                 a teacher
├── NoStudentFits           exit 3   the search ended without a student within the budget
├── Interrupted             exit 130 the user stopped the run
├── StoreError              exit 1   the store can't be opened, read or written
│   ├── StoreUnavailable             the store is locked, unreachable or full; a retry may succeed
│   ├── ImpossibleValue              a measurement that no network can have was to be stored
│   │   └── NotFinite                the measurement contains NaN or infinity
│   ├── DamagedRow                   a stored row is damaged, for example by a manual edit
│   └── StudyHeld                    another process runs the study
│       └── ArtifactsHeld            the artifacts folder belongs to another store or copy
├── ArtifactError           exit 1   an artifact is missing, damaged or from a newer version
│   └── FolderStoreError             the URL of the artifacts is unreachable; also an OSError
├── DiskError               exit 1   a folder can't be written: full or read-only; also an OSError
├── TargetError             exit 1   the target does not answer or can't measure
├── RayUnavailable          exit 1   Ray does not start, does not answer, or is lost
└── TrialError              exit 1   one trial failed; it is recorded, and the search continues
"""

import re

# Messages of torch's CPU allocator, C++ and ONNX Runtime, which raise no specific exception.
_NO_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|std::bad_alloc|bad allocation|"
    r"Cannot allocate memory|Failed to allocate memory",
    re.IGNORECASE,
)


def lacks_memory(error: BaseException) -> bool:
    """Return whether the error's type or message reports a lack of memory."""
    return isinstance(error, MemoryError) or bool(_NO_MEMORY.search(str(error)))


def shortened(error: Exception, *, lines: int = 2) -> str:
    """Return the first lines of the error's message, and the number of further lines.

    Messages can be long: torch lists every weight that does not fit.
    """
    text = [line.strip() for line in str(error).strip().splitlines()]
    more = f" (and {len(text) - lines} more lines)" if len(text) > lines else ""
    return " ".join(text[:lines]) + more


class RetortError(Exception):
    """Base class of this project's errors."""

    exit_code = 1


class BadInput(RetortError):
    """The user's input can't be used; nothing was written."""

    exit_code = 2


class StudyFileError(BadInput):
    """A study file or an override is malformed."""


class DataError(BadInput):
    """A data set is missing, unreadable or unsuitable."""


class TeacherError(BadInput):
    """A teacher can't be loaded, or does not fit the data."""


class NoStudentFits(RetortError):
    """No student of the trials fits the budget."""

    exit_code = 3


class Interrupted(RetortError):
    """The user stopped the run; finished results are in the store."""

    exit_code = 130


class StoreError(RetortError):
    """The store can't be opened, read or written."""


class StoreUnavailable(StoreError):
    """The store is locked, unreachable or full; the same write may succeed later."""


class ImpossibleValue(StoreError):
    """A measurement that no network can have was to be stored."""


class NotFinite(ImpossibleValue):
    """A measurement with NaN or infinity was to be stored."""


class DamagedRow(StoreError):
    """A stored row is damaged; `study` is the name of its study."""

    def __init__(self, message: str, *, study: str) -> None:
        super().__init__(message)
        self.study = study


class StudyHeld(StoreError):
    """Another process runs the study, or has taken it over."""


class ArtifactsHeld(StudyHeld):
    """The artifacts folder belongs to another store, or to a newer copy of this one."""


class ArtifactError(RetortError):
    """An artifact is missing, damaged or from a newer version."""


class FolderStoreError(ArtifactError, OSError):
    """The URL of the artifacts or the cache is unreachable, or can't be written."""


class DiskError(RetortError, OSError):
    """A folder can't be written: its disk is full, read-only or broken."""


class TargetError(RetortError):
    """The target does not answer, or can't measure."""


class RayUnavailable(RetortError):
    """Ray does not start, does not answer, or its connection is lost."""


class TrialError(RetortError):
    """One trial failed; `kind` is the stored short name of the failure."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
