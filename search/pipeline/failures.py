"""Records of failures: the kind of an exception, its message and its traceback."""

import traceback

import torch

from search.errors import DiskError, TrialError, lacks_memory
from search.files.disk import disk_fault
from search.records import FailureRecord, Outcome, TrialState

PROCESS_DIED = "process_died"
OUT_OF_MEMORY = "out_of_memory"
TIMED_OUT = "timed_out"
DISK_FAULT = "disk_fault"


def failure_of(error: BaseException) -> FailureRecord:
    """Return the record of an exception that ended a trial."""
    cause = disk_fault(error) or error
    return FailureRecord(
        kind=_kind(cause),
        message=str(cause) or type(cause).__name__,
        traceback="".join(traceback.format_exception(error)),
    )


def failed_outcome(error: BaseException) -> Outcome:
    """Return the outcome FAILED of a trial or branch that an exception ended."""
    return Outcome(state=TrialState.FAILED, failure=failure_of(error))


def _kind(error: BaseException) -> str:
    if isinstance(error, TrialError):
        return error.kind
    if isinstance(error, DiskError):
        return DISK_FAULT
    if isinstance(error, torch.OutOfMemoryError) or lacks_memory(error):
        return OUT_OF_MEMORY
    return type(error).__name__
