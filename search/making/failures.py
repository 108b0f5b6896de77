"""What went wrong in a trial, under the short name by which it is recorded."""

import traceback

import torch

from search.errors import TrialError, lacks_memory
from search.records import FailureRecord

PROCESS_DIED = "process_died"
OUT_OF_MEMORY = "out_of_memory"
TIMED_OUT = "timed_out"


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
    if isinstance(error, torch.OutOfMemoryError) or lacks_memory(error):
        return OUT_OF_MEMORY
    return type(error).__name__
