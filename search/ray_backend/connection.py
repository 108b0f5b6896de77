"""The connection of this process to Ray."""

import logging
import signal
from collections.abc import Mapping
from typing import Any

import ray
from ray.job_config import JobConfig

from search.ray_backend.lifeline import Lifeline
from search.ray_backend.signals import blocked


class _OwnModules(JobConfig):
    """Job configuration with which workers import only installed modules.

    Ray would add the driver's current folder to the import path. Workers would then import any
    `search` or `timm` from there.
    """

    @property
    def _py_driver_sys_path(self) -> list[str]:
        return []

    @_py_driver_sys_path.setter
    def _py_driver_sys_path(self, folders: list[str]) -> None:
        """Ignore the folders; the list stays empty."""


def connect(**options: Any) -> Lifeline:
    """Start Ray or connect to it with these options, and return the lifeline of the connection."""
    # In another thread than the main one, Ray warns that it leaves SIGTERM alone: that is wanted.
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Ray's processes must not receive the SIGHUP of a closed terminal: this process ends them.
    with blocked(signal.SIGHUP):
        context = ray.init(
            log_to_driver=False, logging_level=logging.ERROR, job_config=_OwnModules(), **options
        )
    info: Mapping[str, str] | None = getattr(context, "address_info", None)
    if info is None:
        raise ValueError("a search can't run through a Ray client: use host:port instead of ray://")
    return Lifeline(info["raylet_socket_name"], info["gcs_address"])
