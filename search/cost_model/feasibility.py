"""Admission: it decides before the training whether a recipe may be trained."""

from collections import OrderedDict, defaultdict
from dataclasses import replace
from math import inf

from torch import nn

from search.config.student_spec import StudentRequirements
from search.cost_model.bounds import between, counted, extreme, least_of, without_file
from search.cost_model.cost_table import CostTable, shape_of
from search.cost_model.dry_run import is_certain, least_cost, measure_untrained, untrained
from search.cost_model.estimator import Estimate, Estimator
from search.cost_model.shape_law import ShapeLaw
from search.cost_model.verdict import Basis, CostVerdict
from search.errors import ArtifactError, TargetError, TrialError, shortened
from search.objectives.counting import count_operations
from search.objectives.limit import Scaling
from search.objectives.limits import LATENCY, limit_on
from search.records import Cost, Shape
from spaces.axes.student import Student
from spaces.pruning.magnitude import Magnitude
from spaces.recipe import Recipe
from spaces.unfit import UNFIT

_CACHED_NETWORKS = 4
# The error of an estimate for a pruning without a uniform ratio, from the nearest uniform ratio.
_NOMINAL_ERROR = 0.25


class Feasibility:
    """Admission of recipes by the cost of their students; it measures as few students as possible.

    Certain bounds are used first. Cutting a larger share of every layer's channels never makes a
    student larger, except for the bytes of some number formats. So one student that is too large
    rules out all students that are cut less. Estimates are used next, if every limit lies outside
    of their error. Any other student is measured once, and its cost is added to the table.

    Args:
        requirements: the students' shapes, target and budget.
        table: the table of known costs.
        timed: whether this process can measure the target's latency.
    """

    def __init__(
        self, requirements: StudentRequirements, table: CostTable, *, timed: bool = True
    ) -> None:
        self._requirements = requirements
        self.budget = requirements.budget.before_training
        self._table = table
        self._timed = timed
        # Untrained costs of students whose cost depends on learned values. The store does not
        # record them, because the trained student's cost differs.
        self._untrained = CostTable()
        self._estimators = {True: Estimator(table), False: Estimator(self._untrained)}
        self._networks: OrderedDict[Student, nn.Module] = OrderedDict()
        self._unsound: dict[Shape, str] = {}
        # By student and quantization: the least possible cost at each ratio.
        self._bounds: defaultdict[tuple[str, str], dict[float, Cost]] = defaultdict(dict)

    def judge(self, recipe: Recipe) -> CostVerdict:
        """Decide whether the recipe may be trained; measure its student if necessary."""
        return self.verdict(recipe) or self._measured_verdict(recipe, shape_of(recipe))

    def verdict(self, recipe: Recipe) -> CostVerdict | None:
        """Decide without measuring whether the recipe may be trained; None if undecided."""
        if reason := recipe.conflict() or self._requirements.conflict(recipe.student):
            return CostVerdict(admitted=False, cost=None, reason=reason, basis=Basis.CONFLICT)
        shape = shape_of(recipe)
        return self._known(recipe, shape) or self._inferred(recipe, shape)

    def predict(self, recipe: Recipe) -> Cost | None:
        """Return the recipe's cost, measured or estimated from other recipes; None if unknown.

        For a recipe that is certain to break the budget, it may be a lower bound.
        """
        shape = shape_of(recipe)
        known = self._untrained.get(shape) or self._table.get(shape)
        if known and LATENCY.cost in known:
            return known
        estimate = self.estimate(recipe)
        if known or estimate:
            return {**(estimate.cost if estimate else {}), **(known or {})}
        floor = self._floor(recipe, shape)
        return None if self.budget.admits(floor) else floor

    def estimate(self, recipe: Recipe) -> Estimate | None:
        """Estimate the recipe's cost from other recipes, with its error; takes about 0.1 ms.

        The first estimate for a student builds the student and cuts it once, if the table has costs
        of it. A pruning without a uniform ratio is estimated from its nominal ratio. A number
        format whose bytes depend on learned values is estimated from untrained students in that
        format.

        Returns:
            The estimate; None without enough known costs.
        """
        shape, ratio = shape_of(recipe), recipe.pruning.nominal_ratio
        error = recipe.quantization.size_error
        table = self._untrained if error else self._table
        if ratio is None or not table.curve(shape.student, shape.quantization):
            return None
        if not self._knows_shapes(shape.student) and not self._learn_law(recipe, shape):
            return None
        estimate = self._estimators[not error].estimate(shape, ratio)
        if estimate is None:
            return None
        errors = dict(estimate.errors)
        if recipe.pruning.uniform_ratio is None:
            errors = {name: max(known, _NOMINAL_ERROR) for name, known in errors.items()}
        for name, known in errors.items():
            if limit_on(name).scaling is Scaling.FILE:
                # The errors of the untrained file's bytes, and of the trained file's against them.
                errors[name] = 1 - (1 - known) * (1 - error)
        return replace(estimate, errors=errors)

    def fitting_cost(self, recipe: Recipe) -> Cost | None:
        """Return the recipe's cost if it is certain to fit; None if a worker must measure it."""
        verdict = self.verdict(recipe)
        cost = verdict.cost if verdict else None
        if verdict is None or cost is None or not self.budget.surely_admits(cost):
            return None
        is_timed = self._timed or verdict.basis is Basis.MEASURED
        return cost if is_timed or not self.budget.needs_timing else None

    def measure(self, recipe: Recipe) -> Cost | None:
        """Return the recipe's cost, measured if it is unknown; None if its student can't be made.

        If counting shows that the recipe breaks the budget, the result is a lower bound.
        """
        shape = shape_of(recipe)
        return (self._known(recipe, shape) or self._measured_verdict(recipe, shape)).cost

    def learn(self, recipe: Recipe, cost: Cost) -> None:
        """Store the cost that a trial measured."""
        self._store(recipe, shape_of(recipe), cost)

    def _store(self, recipe: Recipe, shape: Shape, cost: Cost) -> None:
        if is_certain(recipe):
            self._table.add(shape, cost)
        else:
            self._untrained.put(shape, cost)

    def _known(self, recipe: Recipe, shape: Shape) -> CostVerdict | None:
        if reason := self._unsound.get(shape):
            return CostVerdict(admitted=False, cost=None, reason=reason, basis=Basis.UNSOUND)
        if cost := self._untrained.get(shape):
            return self._verdict(cost, Basis.MEASURED, recipe)
        cost = self._table.get(shape)
        if cost is None:
            return None
        if self._is_open(cost) and self.budget.admits(cost):
            return None
        return self._verdict(cost, Basis.MEASURED)

    def _is_open(self, cost: Cost) -> bool:
        """Return whether this process could measure a limited cost that is unknown."""
        unknown = self.budget.limits().keys() - cost.keys()
        return any(self._timed or not limit_on(name).is_timed for name in unknown)

    def _inferred(self, recipe: Recipe, shape: Shape) -> CostVerdict | None:
        """Return a verdict from the costs of other recipes; None if they don't suffice."""
        ratio = recipe.pruning.uniform_ratio
        if ratio is None:
            return None
        curve = self._table.curve(shape.student, shape.quantization)
        floor = self._floor(recipe, shape)
        larger = [cost for cut, cost in curve.items() if cut <= ratio]
        if not recipe.quantization.shrinks_steadily:
            larger = [without_file(cost) for cost in larger]
        ceiling = extreme(larger, min)
        estimate = self.estimate(recipe)
        estimated = between(estimate.cost, floor, ceiling) if estimate else {}
        if not self.budget.admits(floor):
            verdict = self._verdict({**floor, **estimated}, Basis.BOUND)
            # A count without a bound or an estimate is shown from the nearest ratio.
            nearest = curve[min(curve, key=lambda cut: abs(cut - ratio))] if curve else {}
            return replace(verdict, cost={**counted(nearest), **floor, **estimated})
        if estimate is None:
            return None
        return self._by_estimate(Estimate(estimated, estimate.errors), ceiling)

    def _floor(self, recipe: Recipe, shape: Shape) -> Cost:
        """Return known lower bounds, from the weights or from students that are cut more."""
        ratio = recipe.pruning.uniform_ratio
        if ratio is None:
            return {}
        curve = self._table.curve(shape.student, shape.quantization)
        bounds = self._bounds[shape.student, shape.quantization]
        smaller = [cost for cut, cost in curve.items() if cut >= ratio]
        if not recipe.quantization.shrinks_steadily:
            smaller = [without_file(cost) for cost in smaller]
        smaller += [cost for cut, cost in bounds.items() if cut >= ratio]
        if counts := self._estimators[True].least_counts(shape.student, ratio):
            smaller.append(least_of(recipe, counts.weights, counts.cost))
        return extreme(smaller, max)

    def _by_estimate(self, estimate: Estimate, ceiling: Cost) -> CostVerdict | None:
        """Return the verdict from an estimate; None if a limit lies within the error."""
        is_unclear = False
        for name, limit in self.budget.limits().items():
            if ceiling.get(name, inf) <= limit:
                continue
            value, error = estimate.cost.get(name), estimate.errors.get(name, 0.0)
            if value is not None and value * (1 - error) > limit:
                return self._verdict(estimate.cost, Basis.PREDICTED)
            if limit_on(name).is_timed and not self._timed:
                continue  # this process can't measure it
            is_unclear |= value is None or value * (1 + error) > limit
        cost = estimate.cost if self._timed else counted(estimate.cost)
        return None if is_unclear else self._verdict(cost, Basis.PREDICTED)

    def _measured_verdict(self, recipe: Recipe, shape: Shape) -> CostVerdict:
        """Measure the recipe's untrained student, and return the verdict."""
        try:
            network = self._network(recipe.student)
            pruned, _ = recipe.pruning.apply(network, self._requirements.example())
            self._learn_shapes(recipe, shape, pruned, recipe.pruning.uniform_ratio)
            if too_large := self._counted_verdict(recipe, shape, pruned):
                return too_large
            cost = self._measured(pruned, recipe)
        except (ValueError, ArtifactError) as error:
            self._unsound[shape] = str(error)
            return CostVerdict(admitted=False, cost=None, reason=str(error), basis=Basis.UNSOUND)
        self._store(recipe, shape, cost)
        return self._verdict(cost, Basis.MEASURED, recipe)

    def _measured(self, pruned: nn.Module, recipe: Recipe) -> Cost:
        """Measure the pruned student's cost; without latency if the target does not answer.

        The trial will contact the target again. If it is still unreachable, only that trial fails.
        """
        try:
            return measure_untrained(pruned, recipe, self._requirements, timed=self._timed)
        except (TargetError, TrialError):
            return measure_untrained(pruned, recipe, self._requirements, timed=False)

    def _counted_verdict(
        self, recipe: Recipe, shape: Shape, pruned: nn.Module
    ) -> CostVerdict | None:
        """Return the verdict on a student whose counts alone break the budget; None for any other.

        This avoids exporting and quantizing, the slowest steps.
        """
        try:
            operations = count_operations(pruned, self._requirements.image_shape)
        except UNFIT as error:
            size = self._requirements.image_size
            raise ValueError(
                f"{type(pruned).__name__} must accept images of {size} pixels, but fails: "
                f"{shortened(error)}"
            ) from error
        weights = sum(weight.numel() for weight in pruned.parameters() if weight.dim() > 1)
        least = least_of(recipe, weights, operations)
        verdict = self._verdict(least, Basis.BOUND, recipe)
        if verdict.admitted:
            return None
        if (ratio := recipe.pruning.uniform_ratio) is not None:
            self._bounds[shape.student, shape.quantization][ratio] = least
        return verdict

    def _verdict(self, cost: Cost, basis: Basis, recipe: Recipe | None = None) -> CostVerdict:
        """Return the verdict on a cost.

        With `recipe`, the cost is of its untrained student. If the trained student may cost less,
        the verdict is on the lower bound.
        """
        reason = self.budget.explain(least_cost(cost, recipe) if recipe else cost)
        if reason and basis is Basis.BOUND:
            reason = f"lower bound: {reason}"
        return CostVerdict(admitted=not reason, cost=cost, reason=reason, basis=basis)

    def _learn_law(self, recipe: Recipe, shape: Shape) -> bool:
        """Cut the student once to learn its shape law; return whether that succeeded."""
        if not (ratio := recipe.pruning.nominal_ratio):
            return False
        try:
            # All methods with a uniform ratio leave the same shapes.
            uniform = Magnitude(ratio=ratio)
            pruned, _ = uniform.apply(self._network(recipe.student), self._requirements.example())
        except ValueError:
            return False
        self._learn_shapes(recipe, shape, pruned, ratio)
        return True

    def _learn_shapes(
        self, recipe: Recipe, shape: Shape, pruned: nn.Module, ratio: float | None
    ) -> None:
        if ratio and not self._knows_shapes(shape.student):
            network, example = self._network(recipe.student), self._requirements.example()
            law = ShapeLaw.learn(network, pruned, ratio, example)
            for estimator in self._estimators.values():
                estimator.learn(shape.student, law)

    def _knows_shapes(self, student: str) -> bool:
        return self._estimators[True].knows_shapes(student)

    def _network(self, student: Student) -> nn.Module:
        """Return the student's untrained network; the most recently used ones are cached."""
        if student not in self._networks:
            self._networks[student] = untrained(student, self._requirements)
        self._networks.move_to_end(student)
        if len(self._networks) > _CACHED_NETWORKS:
            self._networks.popitem(last=False)
        return self._networks[student]
