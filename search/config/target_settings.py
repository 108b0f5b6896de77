"""Settings of the target: the runtime and the machine that serve students."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from search.config.fields import Section
from search.targets.registry import DEFAULT_RUNTIME, known_runtime


class TargetSettings(Section):
    """The runtime that serves the student and the machine where latency is measured."""

    runtime: Annotated[str, AfterValidator(known_runtime)] = Field(
        DEFAULT_RUNTIME, description="the runtime that loads and runs the shipped file"
    )
    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="the device on which the runtime serves the student"
    )
    threads: int = Field(1, ge=1, description="threads that the runtime uses for one image")
    agent: str | None = Field(
        None,
        description="address of a `retort agent` on another machine, where latency is measured; "
        "RETORT_AGENT_TOKEN must hold its token",
    )
    resource: str | None = Field(
        None,
        pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$",
        description="the Ray resource of the one machine of a cluster that serves students; "
        "latency is measured only there",
    )

    @property
    def is_elsewhere(self) -> bool:
        """Whether the target is a machine that the study names."""
        return bool(self.resource or self.agent)

    @property
    def device_here(self) -> str:
        """The device on which a student predicts on this machine; the target may be another one."""
        return "cpu" if self.resource else self.device

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.agent is None:
            return self
        parts = urlsplit(self.agent)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError(
                "agent must be an address such as http://board:8765, without a user or a token"
            )
        if self.resource is not None:
            raise ValueError("agent and resource name different machines: leave one out")
        if self.device != "cpu":
            raise ValueError("an agent measures on its CPU: set device: cpu, or leave device out")
        return self
