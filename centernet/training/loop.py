"""A training run from its configuration to its folder, the same for both backends."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

from centernet.training.curves import save_curves
from centernet.training.plan import Plan, make_plan
from centernet.training.progress import show_step, step_progress
from centernet.training.run import FollowingRun, Run
from centernet.training.settings import Settings
from centernet.training.signals import Interrupted, Stop, stoppable
from centernet_data.dataset import Dataset
from centernet_data.evaluation import Detect, evaluate, report, without_nan
from centernet_data.imaging.encoding import write_picture
from centernet_data.imaging.pages import predictions_page

SHOWN = 8  # pictures on predictions.png
SHOWN_CONFIDENCE = 0.3


def train(config: Settings) -> dict:
    """Trains, saves the model, then evaluates and draws. Returns the last metrics: AP if there is a validation split.

    ValueError, before anything is written, for whatever is wrong with the settings or the data.
    """
    plan = make_plan(config)
    run = _new_run(plan)
    plan.check_pictures()
    with stoppable() as stop, _curves_when_stopped(plan, run), run:
        _start(plan, run)
        _train(plan, run, stop)
        _conclude(plan, run, stop)
    plan.say(f"the run is in {plan.folder.path}")
    return run.metrics[-1]


def _new_run(plan: Plan) -> Run:
    """The run with its fresh state. ValueError for a --pretrained file that does not fit."""
    state = plan.backend.create_state(plan.model_config, plan.recipe, plan.config.seed, plan.config.pretrained)
    if not plan.is_main_process:
        return FollowingRun(state)
    return Run(plan.folder, plan.backend.Checkpointer(), plan.settings, state)


def _start(plan: Plan, run: Run) -> None:
    """Goes on with the run in the folder, or begins a new one; several processes do as the first."""
    if plan.is_main_process:
        _resume_or_begin(plan, run)
        if plan.config.tensorboard or plan.folder.tensorboard.exists():  # a run that was begun so goes on so
            run.open_events()
    if plan.batches.shard[1] > 1:
        run.step, run.state = plan.backend.broadcast_from_first(run.step, run.state)


def _resume_or_begin(plan: Plan, run: Run) -> None:
    if plan.config.resume:
        if run.resume(plan.say):
            plan.say(f"going on from the checkpoint of step {run.step}")
            return
        plan.say(f"no checkpoint in {plan.folder.path}: starting from the beginning")
    plan.folder.begin(plan.config.as_toml())


def _train(plan: Plan, run: Run, stop: Stop) -> None:
    """Takes all steps that are left; saves and evaluates on the way."""
    due = plan.steps_to_evaluate
    if run.step in due:  # gone on from there: what was measured then was cut off
        _evaluate_on_the_way(plan, run, stop)
    for state, line in _steps(plan, run, stop):
        run.advance(state, line)
        if run.step % plan.config.checkpoint_every == 0:
            run.save()
        if run.step in due:
            _evaluate_on_the_way(plan, run, stop)
    run.save()


def _evaluate_on_the_way(plan: Plan, run: Run, stop: Stop) -> None:
    detector = _detector(plan, run)
    results = _evaluate(plan, run, detector, stop)
    plan.say(f"epoch {plan.batches.epoch_of(run.step):.1f}: AP {results['AP']:.3f}")
    if run.events:
        run.log_image(draw_predictions(detector, plan.val_set))


def _conclude(plan: Plan, run: Run, stop: Stop) -> None:
    """The model, its AP, and the pictures."""
    detector = _detector(plan, run)
    if plan.is_main_process:
        detector.save(plan.folder.model)
    if plan.val_set is not None:
        plan.console.print(report(_evaluate(plan, run, detector, stop)), highlight=False)
    if plan.is_main_process:
        save_curves(run.metrics, plan.folder.curves)
        page = draw_predictions(detector, plan.val_set or plan.train_set)
        write_picture(plan.folder.predictions, page)
        run.log_image(page)


def _detector(plan: Plan, run: Run):
    """The backend's detector of the run's present state."""
    return plan.backend.Detector.of(run.state, plan.model_config, plan.config.flip_test)


def _evaluate(plan: Plan, run: Run, detector, stop: Stop) -> dict:
    """The average precision of the state's detector on the validation split; noted with the run and its checkpoint."""
    run.save()
    results = evaluate(_stoppable(plan, detector, stop), plan.val_set, plan.batches.shard, plan.backend.all_gather)
    run.log({"step": run.step, "epoch": plan.batches.epoch_of(run.step), **without_nan(results)})
    run.record_ap(without_nan(results["AP"]))
    return results


def _stoppable(plan: Plan, detector, stop: Stop) -> Detect:
    """A detector that lets itself be interrupted between pictures."""

    def detect(pictures):
        if plan.batches.shard[1] == 1:  # of several processes none leaves alone; they do after the same step
            stop.check()
        return detector(pictures, 0.0)

    return detect


def _steps(plan: Plan, run: Run, stop: Stop) -> Iterator[tuple[object, dict]]:
    """Takes all steps that are left; yields after each the state and its line for metrics.jsonl, and shows the
    progress. Interrupted after the step in which the program was asked to stop.

    A line's `seconds_waiting` went by until the batch was there, `seconds_computing` until the step's values were, so
    with all that the device does for it. What is done between two steps (saving, evaluating) is in neither, and
    not in `images_per_second`, a running mean.
    """
    backend, batches, first, last = plan.backend, plan.batches, run.step, plan.recipe.total_steps
    state, speed = run.state, None
    with step_progress(plan.console) as progress:
        task = progress.add_task("compiling", total=last, completed=first, losses="", speed="")
        begun = time.perf_counter()
        for step, batch in enumerate(batches.prefetched(first, last, plan.config.workers), first):
            received = time.perf_counter()
            state, values = backend.train_step(state, batch)
            values = {name: float(value) for name, value in values.items()}  # waits for them
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
    """Interrupted if the program was asked to stop; several processes after the same step, whichever of them was asked.

    A signal that comes while they ask each other is met after the next step.
    """
    if plan.batches.shard[1] == 1:
        stop.check()
        return
    signals = plan.backend.all_gather(np.array(stop.signal or 0))
    if signals.any():
        raise Interrupted(int(signals.max()))


def _require_finite(values: dict[str, float], step: int, plan: Plan, run: Run) -> None:
    """ValueError for a loss, or a gradient, that is no number any more; it names the pictures that it came from, and
    the last checkpoint."""
    batches = plan.batches
    for name, what in (("loss", "the loss"), ("gradient_norm", "the norm of the gradient")):
        if not math.isfinite(values[name]):
            slots = range(batches.batch_size)
            pictures = ", ".join(batches.dataset.sample(batches.index(step, slot)).name for slot in slots)
            raise ValueError(
                f"{what} became {values[name]} at step {step}; a lower --learning-rate may help, or a look at the "
                f"pictures of that step: {pictures}; {run.last_checkpoint}"
            )


@contextmanager
def _curves_when_stopped(plan: Plan, run: Run) -> Iterator[None]:
    """Draws the curves so far for a run that was saved because of a signal."""
    try:
        yield
    except Interrupted:
        if plan.is_main_process:
            try:
                save_curves(run.metrics, plan.folder.curves)
            except Exception as error:  # whatever it is: how to go on is yet to be said
                plan.say(f"{plan.folder.curves} could not be drawn: {error}")
        raise


def draw_predictions(detector, dataset: Dataset) -> Image.Image:
    """A page of the first pictures of a data set with true boxes, found boxes and the heatmap."""
    indices = range(min(SHOWN, len(dataset)))
    pictures = [dataset.picture(i) for i in indices]
    found, heatmaps = detector(pictures, SHOWN_CONFIDENCE), detector.heatmaps(pictures)
    samples = [dataset.sample(i) for i in indices]
    rows = [(s.name, p, s.objects, f, h) for s, p, f, h in zip(samples, pictures, found, heatmaps, strict=True)]
    return predictions_page(rows, dataset.classes)
