"""Optuna alone: its TPE with constraints, by ask and tell, over a pool of processes."""

import multiprocessing
import os
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace

import torch

from benchmarks.time_to_frontier.log import log_epoch, log_student
from benchmarks.time_to_frontier.plain_tune import UNKNOWN_COST, Plan
from search.pipeline.trial import run_trial
from search.records import Outcome, Scalar
from search.samplers.optuna_adapter import Sampler
from spaces.recipe import Recipe


def run_constrained(plan: Plan) -> None:
    """Run until the time is over; excess over the budget is told to Optuna as a constraint."""
    sampler = Sampler(plan.study.search_space(), name="tpe", seed=plan.study.seed)
    end = time.monotonic() + plan.seconds
    running: dict[Future[Outcome], Recipe] = {}
    number = 0
    processes = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(plan.parallel, mp_context=processes)
    try:
        while time.monotonic() < end:
            while len(running) < plan.parallel and (recipe := sampler.ask()):
                running[pool.submit(_train, recipe.to_params(), plan, number)] = recipe
                number += 1
            left = max(0.0, end - time.monotonic())
            for done in wait(running, timeout=left, return_when=FIRST_COMPLETED).done:
                sampler.tell(running.pop(done), done.result())
    finally:
        workers = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()


def _train(params: Mapping[str, Scalar], plan: Plan, number: int) -> Outcome:
    torch.set_num_threads(1)
    context = plan.open_context()
    name = os.getpid() * 1000 + number
    recipe = Recipe.from_params(params)
    trial = run_trial(recipe, context, number=name, seed=0, predicted_cost=UNKNOWN_COST)
    while True:
        try:
            next(trial)
            log_epoch(plan.log, "epoch")
        except StopIteration as end:
            outcome: Outcome = end.value
            log_student(plan.log, outcome, context.artifacts.folder)
            broken = plan.spec.requirements.budget.violations(outcome.cost) if outcome.cost else {}
            return replace(outcome, violations=broken)
