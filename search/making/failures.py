"""What went wrong in a trial, under the short name by which it is recorded."""

import re
import traceback

import torch

from search.errors import TrialError
from search.records import FailureRecord

PROCESS_DIED = "process_died"
OUT_OF_MEMORY = "out_of_memory"
TIMED_OUT = "timed_out"

# What torch's CPU allocator, C++ and ONNX Runtime say, which have no exception of their own.
_NO_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|std::bad_alloc|bad allocation|"
    r"Cannot allocate memory|Failed to allocate memory",
    re.IGNORECASE,
)


def failure_of(error: BaseException) -> FailureRecord:
    """The record of an exception that ended a trial."""
    return FailureRecord(
        kind=_kind(error),
        message=str(error) or type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
    )


def _kind(error: BaseException) -> str:
    if isinstance(error, TrialError):
        return error.kind
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY.search(str(error)):
        return OUT_OF_MEMORY
    return type(error).__name__
