"""List of all methods and their properties, for the command line, the docs and scripts."""

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spaces import registry
from spaces.axes.distillation import Distillation
from spaces.axes.order import AXES
from spaces.distributions import Scalar
from spaces.method import Method

_ARXIV = re.compile(r"arXiv:\d{4}\.\d{4,5}")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a method: its distribution and its default."""

    name: str
    distribution: str
    default: Scalar


@dataclass(frozen=True)
class MethodListing:
    """A method's description, taken from its class.

    Attributes:
        axis: the method's axis.
        name: the method's name in study files.
        summary: the first line of the class's docstring.
        papers: sources of the method, such as `arXiv:1503.02531`.
        shrinks: costs that the method is meant to reduce; `nothing` if there are none.
        needs: outputs of the teacher that the method needs; `nothing` except for distillations.
        parameters: parameters of the method, in the order of a study file.
    """

    axis: str
    name: str
    summary: str
    papers: tuple[str, ...]
    shrinks: str
    needs: str
    parameters: tuple[Parameter, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the description as plain values."""
        parameters = [vars(parameter) for parameter in self.parameters]
        return {**vars(self), "papers": list(self.papers), "parameters": parameters}


def list_methods(axis: str | None = None) -> list[MethodListing]:
    """Return the methods of one axis, or of all axes in the order of compression.

    The methods of an axis are sorted by name.

    Raises:
        ValueError: there is no such axis.
    """
    axes = [axis] if axis else [one.axis for one in AXES]
    return [_listing(method) for name in axes for method in registry.methods(name).values()]


def as_markdown(methods: Sequence[MethodListing]) -> str:
    """Return a Markdown table of the methods and a list of their parameters, for each axis."""
    axes = dict.fromkeys(method.axis for method in methods)
    return "\n".join(
        _section(axis, [method for method in methods if method.axis == axis]) for axis in axes
    )


def _listing(method: type[Method]) -> MethodListing:
    defaults = method().params()
    module = inspect.getmodule(method)
    docstrings = f"{inspect.getdoc(method) or ''}\n{(module and module.__doc__) or ''}"
    return MethodListing(
        axis=method.axis,
        name=method.name,
        summary=method.summary(),
        papers=tuple(dict.fromkeys(_ARXIV.findall(docstrings))),
        shrinks=str(method.shrinks),
        needs=str(method.needs) if issubclass(method, Distillation) else "nothing",
        parameters=tuple(
            Parameter(key, str(distribution), defaults[key])
            for key, distribution in method.distributions().items()
        ),
    )


def _section(axis: str, methods: Sequence[MethodListing]) -> str:
    rows = [
        f"| `{method.name}` | {method.summary} | {_papers(method)} | {_last_cell(axis, method)} |"
        for method in methods
    ]
    last = "needs from the teacher" if axis == "distillation" else "shrinks"
    head = [f"### {axis}", "", f"| method | what it does | source | {last} |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, "", *_parameters(methods), ""])


def _last_cell(axis: str, method: MethodListing) -> str:
    return method.needs if axis == "distillation" else method.shrinks


def _papers(method: MethodListing) -> str:
    links = (f"[{paper}](https://arxiv.org/abs/{paper[6:]})" for paper in method.papers)
    return ", ".join(links) or "–"


def _parameters(methods: Sequence[MethodListing]) -> Iterator[str]:
    for method in methods:
        if method.parameters:
            described = "; ".join(
                f"`{one.name}` {one.distribution}, {_yaml(one.default)} by default"
                for one in method.parameters
            )
            yield f"- `{method.name}`: {described}"


def _yaml(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"
