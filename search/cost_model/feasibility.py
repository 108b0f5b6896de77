"""Admission: the driver decides, before training, whether a recipe may be trained."""

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
from search.objectives.budget import Budget
from search.objectives.counting import count_operations
from search.objectives.limit import Scaling
from search.objectives.limits import LATENCY, limit_on
from search.records import Cost, Shape
from spaces.axes.student import Student
from spaces.pruning.magnitude import Magnitude
from spaces.recipe import Recipe
from spaces.unfit import UNFIT

_NETWORKS = 4
# The error of a cost that is estimated from a uniform ratio for a pruning that follows none.
_NOMINAL_ERROR = 0.25


class Feasibility:
    """Judge of recipes by the cost of their students; it measures as few students as possible.

    Certain bounds come first: cutting a larger share of every layer's channels never makes a
    student larger (but for the bytes of some formats), so one student that is too large rules out
    all that are cut less. Then come predictions, where every limit lies outside their error. The
    remaining students are measured once, and the results are kept in the table.

    Args:
        requirements: the students' shapes and budget.
        table: the known costs.
        timed: whether this machine is the target, so that students can be timed here.
    """

    def __init__(
        self, requirements: StudentRequirements, table: CostTable, *, timed: bool = True
    ) -> None:
        self._requirements = requirements
        self._table = table
        self._timed = timed
        # Students whose cost depends on learned values: not in the store, as each differs.
        self._foreseen = CostTable()
        self._estimators = {True: Estimator(table), False: Estimator(self._foreseen)}
        self._networks: OrderedDict[Student, nn.Module] = OrderedDict()
        self._unsound: dict[Shape, str] = {}
        # By student and quantization: the least possible cost at each ratio.
        self._bounds: defaultdict[tuple[str, str], dict[float, Cost]] = defaultdict(dict)

    @property
    def budget(self) -> Budget:
        return self._requirements.budget

    def judge(self, recipe: Recipe) -> CostVerdict:
        """Decide whether the recipe may be trained."""
        return self.verdict(recipe) or self._found(recipe, shape_of(recipe))

    def verdict(self, recipe: Recipe) -> CostVerdict | None:
        """Decide whether the recipe may be trained; None if its student must be measured first."""
        if reason := recipe.conflict():
            return CostVerdict(admitted=False, cost=None, reason=reason, basis=Basis.CONFLICT)
        shape = shape_of(recipe)
        return self._known(recipe, shape) or self._told(recipe, shape)

    def predict(self, recipe: Recipe) -> Cost | None:
        """Return the recipe's cost, measured or estimated from others; None where it is unknown.

        For a recipe that is sure to break the budget, it may be the least possible cost.
        """
        shape = shape_of(recipe)
        known = self._foreseen.get(shape) or self._table.get(shape)
        if known and LATENCY.cost in known:
            return known
        estimate = self.estimate(recipe)
        if known or estimate:
            return {**(estimate.cost if estimate else {}), **(known or {})}
        floor = self._floor(recipe, shape)
        return None if self.budget.admits(floor) else floor

    def estimate(self, recipe: Recipe) -> Estimate | None:
        """Estimate the recipe's cost from other recipes, with its error; takes about 0.1 ms.

        The first question about a student builds and cuts it once, if others of it were measured.
        A pruning whose shapes follow no ratio alone is estimated from the nearest ratio. A format
        whose bytes follow learned values is estimated from other students in that format.
        """
        shape, ratio = shape_of(recipe), recipe.pruning.nominal_ratio
        error = recipe.quantization.size_error
        table = self._foreseen if error else self._table
        if ratio is None or not table.curve(shape.student, shape.quantization):
            return None
        if not self._knows_shapes(shape.student) and not self._learned(recipe, shape):
            return None
        estimate = self._estimators[not error].estimate(shape, ratio)
        if estimate is None:
            return None
        errors = dict(estimate.errors)
        if recipe.pruning.uniform_ratio is None:
            errors = {name: max(known, _NOMINAL_ERROR) for name, known in errors.items()}
        for name, known in errors.items():
            if limit_on(name).scaling is Scaling.FILE:
                # From the untrained file's bytes, and from there to the trained file's.
                errors[name] = 1 - (1 - known) * (1 - error)
        return replace(estimate, errors=errors)

    def settled(self, recipe: Recipe) -> Cost | None:
        """Return a cost that is sure to fit; None where a worker has to measure it."""
        verdict = self.verdict(recipe)
        cost = verdict.cost if verdict else None
        if verdict is None or cost is None or not self.budget.surely_admits(cost):
            return None
        is_timed = self._timed or verdict.basis is Basis.MEASURED
        return cost if is_timed or not self.budget.needs_timing else None

    def measure(self, recipe: Recipe) -> Cost | None:
        """Return the recipe's cost, measuring it if need be; None where its student can't be made.

        Where counting shows that it breaks the budget, the least possible cost is returned.
        """
        shape = shape_of(recipe)
        return (self._known(recipe, shape) or self._found(recipe, shape)).cost

    def learn(self, recipe: Recipe, cost: Cost) -> None:
        """Store a cost that a trial measured where it ran, unless it is known."""
        self._keep(recipe, shape_of(recipe), cost)

    def _keep(self, recipe: Recipe, shape: Shape, cost: Cost) -> None:
        if is_certain(recipe):
            self._table.add(shape, cost)
        else:
            self._foreseen.put(shape, cost)

    def _known(self, recipe: Recipe, shape: Shape) -> CostVerdict | None:
        if reason := self._unsound.get(shape):
            return CostVerdict(admitted=False, cost=None, reason=reason, basis=Basis.UNSOUND)
        if foreseen := self._foreseen.get(shape):
            return self._verdict(foreseen, Basis.MEASURED, recipe)
        cost = self._table.get(shape)
        if cost is None:
            return None
        if self._is_open(cost) and self.budget.admits(cost):
            return None
        return self._verdict(cost, Basis.MEASURED)

    def _is_open(self, cost: Cost) -> bool:
        """Return whether measuring here could supply a limited cost that is not known."""
        unknown = self.budget.limits().keys() - cost.keys()
        return any(self._timed or not limit_on(name).is_timed for name in unknown)

    def _told(self, recipe: Recipe, shape: Shape) -> CostVerdict | None:
        """Return a verdict that other recipes make certain, or outside all errors; else None."""
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
        told = between(estimate.cost, floor, ceiling) if estimate else {}
        if not self.budget.admits(floor):
            verdict = self._verdict({**floor, **told}, Basis.BOUND)
            # For a count that nothing bounds, show the nearest cut's.
            nearest = curve[min(curve, key=lambda cut: abs(cut - ratio))] if curve else {}
            return replace(verdict, cost={**counted(nearest), **floor, **told})
        return self._by_estimate(Estimate(told, estimate.errors), ceiling) if estimate else None

    def _floor(self, recipe: Recipe, shape: Shape) -> Cost:
        """Return the recipe's least cost, from its weights or from students cut more; if known."""
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
        """Return the verdict; None if a limit lies within an error, so that it must be measured."""
        unclear = False
        for name, limit in self.budget.limits().items():
            if ceiling.get(name, inf) <= limit:
                continue
            value, error = estimate.cost.get(name), estimate.errors.get(name, 0.0)
            if value is not None and value * (1 - error) > limit:
                return self._verdict(estimate.cost, Basis.PREDICTED)
            if limit_on(name).is_timed and not self._timed:
                continue  # measuring here would not supply it
            unclear |= value is None or value * (1 + error) > limit
        told = estimate.cost if self._timed else counted(estimate.cost)
        return None if unclear else self._verdict(told, Basis.PREDICTED)

    def _found(self, recipe: Recipe, shape: Shape) -> CostVerdict:
        """Return the verdict from measuring the recipe's own student, untrained."""
        try:
            network = self._network(recipe.student)
            pruned, _ = recipe.pruning.apply(network, self._requirements.example())
            self._learn_shapes(recipe, shape, pruned, recipe.pruning.uniform_ratio)
            if too_large := self._counted(recipe, shape, pruned):
                return too_large
            cost = self._measured(pruned, recipe)
        except (ValueError, ArtifactError) as error:
            self._unsound[shape] = str(error)
            return CostVerdict(admitted=False, cost=None, reason=str(error), basis=Basis.UNSOUND)
        self._keep(recipe, shape, cost)
        return self._verdict(cost, Basis.MEASURED, recipe)

    def _measured(self, pruned: nn.Module, recipe: Recipe) -> Cost:
        """Measure the pruned student's cost; untimed while the target does not answer.

        Its trial asks the target again; if that is still unreachable, only this trial fails.
        """
        try:
            return measure_untrained(pruned, recipe, self._requirements, timed=self._timed)
        except (TargetError, TrialError):
            return measure_untrained(pruned, recipe, self._requirements, timed=False)

    def _counted(self, recipe: Recipe, shape: Shape, pruned: nn.Module) -> CostVerdict | None:
        """Return the verdict on a student whose weights alone are too much; None for any other.

        This saves exporting and quantizing, the slowest steps of judging a new student.
        """
        try:
            operations = count_operations(pruned, self._requirements.image_shape)
        except UNFIT as error:
            size = self._requirements.image_size
            raise ValueError(
                f"{type(pruned).__name__} can't take images of {size} pixels: {shortened(error)}"
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
        """Return the verdict on a cost; on the least possible one, if `recipe` leaves that open."""
        reason = self.budget.explain(least_cost(cost, recipe) if recipe else cost)
        if reason and basis is Basis.BOUND:
            reason = f"at the least: {reason}"
        return CostVerdict(admitted=not reason, cost=cost, reason=reason, basis=basis)

    def _learned(self, recipe: Recipe, shape: Shape) -> bool:
        """Return whether the law of the student's shapes is known, now that it was cut once."""
        if not (ratio := recipe.pruning.nominal_ratio):
            return False
        try:
            # All methods that cut each layer alike leave the same shapes.
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
        """Return the student's network, untrained; the last few are kept."""
        if student not in self._networks:
            self._networks[student] = untrained(student, self._requirements)
        self._networks.move_to_end(student)
        if len(self._networks) > _NETWORKS:
            self._networks.popitem(last=False)
        return self._networks[student]
