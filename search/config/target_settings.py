"""The part of a study file that says where students are served."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from search.config.fields import Section
from search.targets.registry import DEFAULT_RUNTIME, known_runtime


class TargetSettings(Section):
    """The runtime that serves the student and the machine where latency is measured."""

    runtime: Annotated[str, AfterValidator(known_runtime)] = Field(
        DEFAULT_RUNTIME, description="what loads and runs the file that is shipped"
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the student is served")
    threads: int = Field(1, ge=1, description="threads that serve one image")
    agent: str | None = Field(
        None,
        description="address of a `retort agent` on another machine, whose latency counts; its "
        "token is in RETORT_AGENT_TOKEN",
    )
    resource: str | None = Field(
        None,
        pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$",
        description="the Ray resource of the one machine of a cluster that serves: latency is "
        "measured there and nowhere else",
    )

    @property
    def is_elsewhere(self) -> bool:
        """Whether one named machine stands for the target."""
        return bool(self.resource or self.agent)

    @property
    def device_here(self) -> str:
        """The device on which a student that is timed on the target predicts; it may be remote."""
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
            raise ValueError("agent and resource exclude one another: each is another machine")
        if self.device != "cpu":
            raise ValueError("an agent measures on its processor: leave device: cpu")
        return self
