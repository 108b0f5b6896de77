"""Pruning of the channels with the least importance for their cost."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
import torch_pruning
from torch import Tensor, nn

from spaces.pruning.structured.channels import CutPlan, Cutter
from spaces.pruning.structured.costs import ChannelCosts
from spaces.pruning.structured.graph import Importance

# Each layer keeps at least this share of its channels, and at least one.
_LEAST_SHARE = 0.05
# A step removes at most this share of the whole cost. Then all channels are scored again, because
# the effects of the remaining ones have grown.
_STEP = 0.1
# A weight between two pruned channels counts in the costs of both. So a step removes less than
# predicted, and further steps remove the rest.
_MOST_STEPS = 40


class KnapsackCutter(Cutter):
    """Pruning of a network in place, until its cost is at most a given one.

    The channels of all layers compete by their importance, divided by the cost that their removal
    saves. This is the greedy solution of a knapsack problem.

    Args:
        network: a classifier. The layers that compute its logits keep all outputs.
        example: one input, [1, channels, height, width].
        importance: computes the scores of a group's channels; scores of groups are compared.
        unit: the unit of the cost, as in `ChannelCosts`.
        round_to: the number of remaining channels is a multiple of it.

    Raises:
        ValueError: the dependency graph does not describe this network.

    Source: Aflalo et al. 2020, Knapsack Pruning with Inner Distillation, arXiv:2002.08258; Shen et
    al. 2022, Structural Pruning via Latency-Saliency Knapsack, arXiv:2210.06659.
    """

    def __init__(
        self,
        network: nn.Module,
        example: Tensor,
        *,
        importance: Importance,
        unit: str,
        round_to: int = 1,
    ) -> None:
        self._costs = ChannelCosts(network, example, unit=unit)
        self._most_saved = _STEP * self._costs.total()
        self._score, self._round_to = importance, round_to
        self._to_save = 0.0
        self._scored: list[tuple[Tensor, Tensor]] = []
        plan = CutPlan(ratio=0.0, scope="global", round_to=round_to)
        super().__init__(network, example, importance=self._by_cost, plan=plan)

    @property
    def cost(self) -> float:
        """The cost of the network, with the cuts so far."""
        return self._costs.total()

    def step_to(
        self, cost: float, weighed: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        """Prune channels until the cost is at most `cost`, or no more channel can be pruned.

        Args:
            cost: the cost to reach.
            weighed: returns the context for one scoring of channels; called for each step.

        Raises:
            ValueError: the pruned network does not run, because the graph does not describe it.
        """
        for _ in range(_MOST_STEPS):
            before = self.cost
            if before <= cost:
                return
            self._to_save = min(before - cost, self._most_saved)
            self.step(weighed())
            if self.cost == before:
                return

    def _groups(self) -> Iterator[torch_pruning.Group]:
        """Score all channels, and yield the groups of those to prune now."""
        self._select(0.0)
        self._scored.clear()
        for _ in self._pruner.step(interactive=True):
            pass  # without channels to prune, the pruner only scores all groups
        if not self._scored:
            return
        scores, costs = (torch.cat(parts) for parts in zip(*self._scored, strict=True))
        order = scores.argsort()
        order = order[scores[order].isfinite()]
        # The pruner may round the number up by one, which must not be a channel to keep.
        count = min(int((costs[order].cumsum(0) < self._to_save).sum()) + 1, len(order) - 1)
        self._select(max(count, 0) / len(scores))
        yield from (group for group in super()._groups() if group[0].idxs)

    def _select(self, ratio: float) -> None:
        """Let the next step of the pruner remove this share of the remaining channels."""
        self._pruner.current_step = 0
        self._pruner.per_step_pruning_ratio = [0.0, ratio]
        self._pruner._scope_initial_channels.clear()

    def _by_cost(self, group: torch_pruning.Group) -> Tensor | None:
        """Return the importance of each channel divided by its cost; infinite for those to keep."""
        scores = self._score(group)
        if scores is None:
            return None
        # Channels at the same place of several heads or convolution groups are pruned together.
        parts = self._pruner._get_channel_groups(group)
        costs = self._costs.of(group).view(parts, -1).sum(dim=0)
        found = scores.cpu().view(parts, -1).sum(dim=0) / costs.clamp(min=1.0)
        found[found.topk(min(self._least(group, parts), len(found))).indices] = math.inf
        self._scored.append((found, costs))
        return found.repeat(parts)

    def _least(self, group: torch_pruning.Group, parts: int) -> int:
        """Return how many channels of each part of the group must remain."""
        layer = group[0].dep.target.module
        outputs = self._graph.is_out_channel_pruning_fn(group[0].dep.handler)
        counts = self._pruner.layer_init_out_ch if outputs else self._pruner.layer_init_in_ch
        initial: int = counts[layer]
        least = max(1, math.ceil(_LEAST_SHARE * initial / parts))
        return math.ceil(least / self._round_to) * self._round_to
