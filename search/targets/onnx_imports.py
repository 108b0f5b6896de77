"""The operator sets that an ONNX file imports, and the versions of ONNX Runtime that load it.

ONNX Runtime refuses a file that imports a newer operator set than it knows, even if no node uses
the set. Its quantizer writes such imports: every operator set that the installed version knows.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from onnx import ModelProto, NodeProto

_STANDARD, _CLASSIC = "", "ai.onnx.ml"
_ALIASES = {"ai.onnx": _STANDARD}


class _Release(NamedTuple):
    """The newest versions that a release of ONNX Runtime accepts."""

    version: str
    ir: int
    standard: int
    classic: int


# From the version matrix in ONNX Runtime's docs/Versioning.md; only releases that accept more than
# the one before.
_RELEASES = (
    _Release("1.12", ir=8, standard=17, classic=3),
    _Release("1.14", ir=8, standard=18, classic=3),
    _Release("1.15", ir=9, standard=19, classic=3),
    _Release("1.17", ir=9, standard=20, classic=4),
    _Release("1.18", ir=10, standard=21, classic=5),
)


def remove_unused_imports(model: ModelProto) -> None:
    """Remove the imports of operator sets that no node of the model uses."""
    used = _used_domains(model)
    kept = [entry for entry in model.opset_import if _domain(entry.domain) in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def unused_imports(model: ModelProto) -> set[str]:
    """Return the imported domains that no node uses."""
    return {_domain(entry.domain) for entry in model.opset_import} - _used_domains(model)


def least_onnxruntime(model: ModelProto) -> str | None:
    """Return the oldest release of ONNX Runtime that accepts the model's versions.

    The releases before 1.12 are not distinguished.

    Returns:
        Text such as `1.12`; None if the model is newer than the known releases, or uses a domain
        whose operators neither ONNX nor the model defines.
    """
    imported = {_domain(entry.domain): entry.version for entry in model.opset_import}
    defined = {function.domain for function in model.functions}
    if _used_domains(model) - defined - {_STANDARD, _CLASSIC}:
        return None
    return next(
        (
            release.version
            for release in _RELEASES
            if model.ir_version <= release.ir
            and imported.get(_STANDARD, 0) <= release.standard
            and imported.get(_CLASSIC, 0) <= release.classic
        ),
        None,
    )


def _used_domains(model: ModelProto) -> set[str]:
    """Return the domains of all nodes: of the graph, its subgraphs, and the model's functions."""
    bodies = [model.graph.node, *(function.node for function in model.functions)]
    return {_domain(node.domain) for body in bodies for node in all_nodes(body)}


def all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Yield nodes, and those of the graphs that they contain."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from all_nodes(graph.node)


def _domain(name: str) -> str:
    return _ALIASES.get(name, name)
