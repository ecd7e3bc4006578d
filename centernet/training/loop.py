"""A training run from its settings to its folder, the same for both backends."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from PIL import Image

from centernet.backends import Detector, open_backend
from centernet.lock import only_writer
from centernet.terminal import Failures
from centernet.training.curves import save_curves
from centernet.training.plan import Plan, make_plan
from centernet.training.progress import show_step, step_progress
from centernet.training.run import FolderWriter, NoWriter, Run
from centernet.training.settings import Settings
from centernet.training.signals import Interrupted, Stop, stoppable
from centernet_data.dataset import Dataset
from centernet_data.evaluation import Detect, evaluate, report, without_nan
from centernet_data.imaging.pages import predictions_page

SHOWN = 8  # pictures on predictions.png
SHOWN_CONFIDENCE = 0.3


class NotAllDone(Exception):
    """A run has saved its model, but something after that failed."""


def train(settings: Settings) -> dict:
    """Trains, saves the model, then evaluates and draws. Returns the last metrics: AP if there is a validation split.

    Raises ValueError, before anything is written, for bad settings or data, and if another process writes this run;
    NotAllDone if the model was saved but something after that failed.
    """
    backend = open_backend(settings.backend)
    shard = backend.join_processes(settings.coordinator, settings.processes, settings.process)
    with only_writer(settings.run_folder) if shard[0] == 0 else nullcontext():
        return _run_plan(make_plan(settings, backend, shard))


def _run_plan(plan: Plan) -> dict:
    run = _new_run(plan)
    plan.verify_pictures()
    with stoppable() as stop, _curves_when_stopped(plan, run), run:
        run.start()
        if plan.batches.shard[1] > 1:
            run.step, run.state = plan.backend.broadcast_from_first(run.step, run.state)
        _train(plan, run, stop)
        _conclude(plan, run, stop)
    plan.say(f"the run is in {plan.folder.path}")
    return run.metrics[-1]


def _new_run(plan: Plan) -> Run:
    """The run with its fresh state. Raises ValueError for a --pretrained file that does not fit."""
    settings = plan.settings
    state = plan.backend.create_state(
        plan.model_config, plan.recipe, settings.seed, settings.pretrained, settings.device
    )
    return Run(state, FolderWriter(plan) if plan.is_main_process else NoWriter())


def _train(plan: Plan, run: Run, stop: Stop) -> None:
    """Takes all remaining steps; saves and evaluates on the way."""
    due = plan.steps_to_evaluate
    if run.step in due:  # resumed there: the results measured then were cut off
        _evaluate_on_the_way(plan, run, stop)
    for state, line in _steps(plan, run, stop):
        run.advance(state, line)
        if run.step % plan.settings.checkpoint_every == 0:
            run.save()
        if run.step in due:
            _evaluate_on_the_way(plan, run, stop)
    run.save()


def _evaluate_on_the_way(plan: Plan, run: Run, stop: Stop) -> None:
    assert plan.val_set is not None  # or no evaluation is due
    detector = _detector(plan, run)
    results = _evaluate(plan, run, detector, plan.val_set, stop)
    plan.say(f"epoch {plan.batches.epoch_of(run.step):.1f}: AP {results['AP']:.3f}")
    dataset = plan.val_set
    run.writer.log_image(run.step, lambda: draw_predictions(detector, dataset))


def _conclude(plan: Plan, run: Run, stop: Stop) -> None:
    """The model, its AP, and the pictures. Raises NotAllDone if one of those that follow the model fails."""
    detector, failures = _detector(plan, run), Failures()
    if isinstance(run.writer, FolderWriter):
        run.writer.save_model(detector)
    if plan.val_set is not None:
        with failures.said():
            plan.say(report(_evaluate(plan, run, detector, plan.val_set, stop)))
    if isinstance(run.writer, FolderWriter):
        with failures.said():
            run.writer.draw_curves(run.metrics)
        with failures.said():
            run.writer.draw_page(run.step, draw_predictions(detector, plan.val_set or plan.train_set))
    if failures.count:
        raise NotAllDone(f"the model is saved in {plan.folder.model}, but what is named above failed")


def _detector(plan: Plan, run: Run) -> Detector:
    """The backend's detector of the run's present state."""
    return plan.backend.Detector.of(run.state, plan.model_config, plan.settings.flip_test)


def _evaluate(plan: Plan, run: Run, detector: Detector, dataset: Dataset, stop: Stop) -> dict:
    """The average precision of the detector on the validation split, recorded with the run and its checkpoint."""
    run.save()
    results = evaluate(_stoppable(plan, detector, stop), dataset, plan.batches.shard, plan.backend.all_gather)
    run.log({"step": run.step, "epoch": plan.batches.epoch_of(run.step), **without_nan(results)})
    run.writer.record_ap(run.step, without_nan(results["AP"]))
    return results


def _stoppable(plan: Plan, detector: Detector, stop: Stop) -> Detect:
    """A detector that can be interrupted between pictures."""

    def detect(pictures):
        if plan.batches.shard[1] == 1:  # of several processes none stops alone; they all stop after the same step
            stop.check()
        return detector(pictures, 0.0)

    return detect


def _steps(plan: Plan, run: Run, stop: Stop) -> Iterator[tuple[Any, dict]]:
    """Takes all remaining steps; yields after each the state and its line for metrics.jsonl, and shows the progress.

    Raises Interrupted after the step during which the program was asked to stop. A line's `seconds_waiting` is the time
    until the batch was there, `seconds_computing` the time until the step's values were. What happens between two steps
    (saving, evaluating) is in neither, and not in `images_per_second`, a running mean.
    """
    backend, batches, first, last = plan.backend, plan.batches, run.step, plan.recipe.total_steps
    state, speed = run.state, None
    with step_progress(plan.console) as progress:
        task = progress.add_task("compiling", total=last, completed=first, losses="", speed="")
        begun = time.perf_counter()
        for step, batch in enumerate(batches.prefetched(first, last, plan.settings.workers), first):
            received = time.perf_counter()
            state, metrics = backend.train_step(state, batch)
            values = {name: float(value) for name, value in metrics.items()}  # waits for them
            done = time.perf_counter()
            _require_finite(values, step, plan, run)
            if step > first:  # which compiles
                recent = batches.batch_size / (done - begun)
                speed = recent if speed is None else 0.9 * speed + 0.1 * recent
            times = {"seconds_waiting": received - begun, "seconds_computing": done - received}
            line = {"step": step, "epoch": batches.epoch_of(step + 1), **values, "images_per_second": speed, **times}
            show_step(progress, task, line)
            yield state, line
            _check(plan, stop)
            begun = time.perf_counter()


def _check(plan: Plan, stop: Stop) -> None:
    """Raises Interrupted if the program was asked to stop; several processes do so after the same step, whichever of
    them was asked. A signal that comes while they ask each other counts after the next step."""
    if plan.batches.shard[1] == 1:
        stop.check()
        return
    signals = plan.backend.all_gather(np.array(stop.signal or 0))
    if signals.any():
        raise Interrupted(int(signals.max()))


def _require_finite(values: dict[str, float], step: int, plan: Plan, run: Run) -> None:
    """Raises ValueError for a loss or a gradient that is not finite; it names the pictures of the step, and the last
    checkpoint."""
    batches = plan.batches
    for name, what in (("loss", "the loss"), ("gradient_norm", "the norm of the gradient")):
        if not math.isfinite(values[name]):
            slots = range(batches.batch_size)
            pictures = ", ".join(batches.dataset.sample(batches.index(step, slot)).name for slot in slots)
            raise ValueError(
                f"{what} became {values[name]} at step {step}; a lower --learning-rate may help, or a look at the "
                f"pictures of that step: {pictures}; {run.writer.last_checkpoint()}"
            )


@contextmanager
def _curves_when_stopped(plan: Plan, run: Run) -> Iterator[None]:
    """Draws the curves so far of a run that was saved because of a signal."""
    try:
        yield
    except Interrupted:
        if plan.is_main_process:
            try:
                save_curves(run.metrics, plan.folder.curves)
            except Exception as error:  # whatever it is, the user must still be told how to resume
                plan.say(f"{plan.folder.curves} could not be drawn: {error}")
        raise


def draw_predictions(detector: Detector, dataset: Dataset) -> Image.Image:
    """A page of the first pictures of a data set with true boxes, predicted boxes and the heatmap."""
    indices = range(min(SHOWN, len(dataset)))
    pictures = [dataset.picture(i) for i in indices]
    found, heatmaps = detector(pictures, SHOWN_CONFIDENCE), detector.heatmaps(pictures)
    samples = [dataset.sample(i) for i in indices]
    rows = [(s.name, p, s.objects, f, h) for s, p, f, h in zip(samples, pictures, found, heatmaps, strict=True)]
    return predictions_page(rows, dataset.classes)
