"""Replay of a pruned network's cuts in an unpruned network, so that the pruned weights fit."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from spaces.axes.pruning import Cut, CutSide
from spaces.pruning.structured.channels import cut_again
from spaces.pruning.structured.graph import as_value_errors, dependency_graph, run, traced


def replay_cuts(model: nn.Module, example: Tensor, cuts: Sequence[Cut]) -> None:
    """Apply cuts to an unpruned network of the same architecture, in place.

    Raises:
        ValueError: the cuts belong to another architecture.
    """
    if not cuts:
        return
    with traced(model), as_value_errors(model):
        for name, part, _ in cuts:
            if part == CutSide.ALL:
                remove_block(model, name)
        partial = [cut for cut in cuts if cut[1] != CutSide.ALL]
        if partial:
            graph = dependency_graph(model, example)
            for cut in partial:
                cut_again(graph, cut)
        run(model, example)


def remove_block(model: nn.Module, name: str) -> None:
    """Replace the module with this dotted name by an identity."""
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, nn.Identity())


def read_cuts(document: Iterable[Sequence[Any]]) -> tuple[Cut, ...]:
    """Return the cuts in a JSON document.

    Raises:
        ValueError: the document has an unknown side.
    """
    # Format 1 stores true for outputs and false for inputs.
    names = {True: CutSide.OUTPUTS, False: CutSide.INPUTS}
    return tuple(
        (name, names[part] if isinstance(part, bool) else CutSide(part), indices)
        for name, part, indices in document
    )
