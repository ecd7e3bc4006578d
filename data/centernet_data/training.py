"""A training run from its configuration to its folder, the same for both backends."""

import math
import time
from collections.abc import Iterator
from types import ModuleType

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from centernet_data.backends import open_backend
from centernet_data.batches import Batches
from centernet_data.config import Train
from centernet_data.curves import save_curves
from centernet_data.dataset import Dataset, PictureDataset
from centernet_data.drawing import predictions_page
from centernet_data.evaluation import Detect, evaluate, report, without_nan
from centernet_data.images import check_pictures
from centernet_data.interrupts import Stop, stoppable
from centernet_data.model_file import ModelConfig
from centernet_data.recipe import Recipe
from centernet_data.run import FollowingRun, Run
from centernet_data.run_folder import RunFolder, write_picture
from centernet_data.source import open_train_and_val
from centernet_data.tfds_data import TfdsDataset
from centernet_data.transforms import NO_AUGMENTATION

SHOWN = 8  # pictures on predictions.png
SHOWN_CONFIDENCE = 0.3


def train(config: Train) -> dict:
    """Trains, saves the model, then evaluates and draws. Returns the last metrics: AP if there is a validation split.

    ValueError, before anything is written, for whatever is wrong with the settings or the data.
    """
    backend = open_backend(config.backend)
    share = backend.join_processes(config.coordinator, config.processes, config.process)
    is_first = share[0] == 0  # of several processes the one that says and writes something
    console, folder = Console(quiet=not is_first), RunFolder(config.run_folder)
    if config.resume:
        folder.require_resumable(config.as_toml())
    elif is_first:
        folder.require_free(config.overwrite)
    train_set, val_set = open_train_and_val(config.data)
    _describe(console, config, train_set, val_set)
    augmentation = config.augmentation if config.augment and _is_stored(train_set) else NO_AUGMENTATION
    pictures_per_step = config.batch_size * config.accumulate
    batches = Batches(train_set, pictures_per_step, config.hw, config.resize, augmentation, config.seed, share)
    model_config = ModelConfig(train_set.classes, config.hw, config.resize, config.depth)
    recipe = recipe_of(config, len(train_set))
    state = backend.create_state(model_config, recipe, config.seed, config.pretrained)
    for dataset in (train_set, val_set):
        if _is_stored(dataset):
            check_pictures(dataset)

    settings = config.as_toml() | {"pictures": len(train_set), "classes": train_set.classes}
    own_run = Run(folder, backend.Checkpointer(), settings, state) if is_first else FollowingRun(state)
    with stoppable() as stop, own_run as run:
        if is_first:
            _start(run, config, console)
        if share[1] > 1:
            run.step, run.state = backend.as_in_the_first(run.step, run.state)

        def evaluate_now() -> dict:
            run.save()
            detector = backend.Detector.of(run.state, model_config, config.flip_test)
            results = evaluate(_stoppable(detector, stop), val_set, share, backend.gather)
            run.note({"step": run.step, "epoch": batches.epoch_of(run.step), **without_nan(results)})
            run.rate(without_nan(results["AP"]))
            return results

        due = _steps_to_evaluate(config, batches, recipe.total_steps) if val_set is not None else set()
        if run.step in due:  # gone on from there: what was measured then was cut off
            evaluate_now()
        for state, line in _steps(backend, run, batches, recipe.total_steps, config.workers, console, stop):
            run.advance(state, line)
            if run.step % config.checkpoint_every == 0:
                run.save()
            if run.step in due:
                results = evaluate_now()
                console.print(f"epoch {batches.epoch_of(run.step):.1f}: AP {results['AP']:.3f}", highlight=False)
        run.save()
        detector = backend.Detector.of(run.state, model_config, config.flip_test)
        if is_first:
            detector.save(folder.model)
        if val_set is not None:
            console.print(report(evaluate_now()), highlight=False)
        if is_first:
            save_curves(run.metrics, folder.curves)
            draw_predictions(detector, val_set or train_set, folder)
    console.print(f"the run is in {folder.path}", highlight=False, soft_wrap=True)
    return run.metrics[-1]


def _steps_to_evaluate(config: Train, batches: Batches, total_steps: int) -> set[int]:
    """After which steps, of those before the last, as many epochs as `evaluate_every` have gone by once more."""
    if not config.evaluate_every:
        return set()
    turns = range(1, math.ceil(config.epochs / config.evaluate_every))
    steps = {math.ceil(turn * config.evaluate_every * len(batches.dataset) / batches.batch_size) for turn in turns}
    return steps - {total_steps}


def _start(run: Run, config: Train, console: Console) -> None:
    """Goes on with the run in the folder if that is wanted and possible, and begins a new one if not."""

    def tell(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    if config.resume and run.resume(tell):
        tell(f"going on from the checkpoint of step {run.step}")
        return
    if config.resume:
        tell(f"no checkpoint in {run.folder.path}: starting from the beginning")
    run.folder.begin(config.as_toml())


def _stoppable(detector, stop: Stop) -> Detect:
    """A detector that lets itself be interrupted between pictures."""

    def detect(pictures):
        stop.check()
        return detector(pictures, 0.0)

    return detect


def _is_stored(dataset: Dataset | None) -> bool:
    """Whether its pictures lie in files, which may be damaged. Rendered ones do not, and vary by themselves."""
    return isinstance(dataset, PictureDataset | TfdsDataset)


def recipe_of(config: Train, pictures: int) -> Recipe:
    """The recipe whose schedule fits the epochs over so many pictures."""
    total_steps = math.ceil(config.epochs * pictures / (config.batch_size * config.accumulate))
    return Recipe(
        learning_rate=config.learning_rate,
        total_steps=total_steps,
        warmup_steps=round(config.warmup * total_steps),
        schedule=config.schedule,
        backbone_rate=config.backbone_rate,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        ema_decay=config.ema_decay,
        accumulate=config.accumulate,
        precision=config.precision,
        remat=config.remat,
        targets=config.targets,
    )


def _describe(console: Console, config: Train, train_set: Dataset, val_set: Dataset | None) -> None:
    validation = "no validation split" if val_set is None else f"{len(val_set)} to validate on"
    classes = f"{len(train_set.classes)} classes" if len(train_set.classes) != 1 else f"class {train_set.classes[0]}"
    console.print(
        f"{config.data}: {len(train_set)} pictures to train on, {validation}; {classes}",
        highlight=False,
        soft_wrap=True,
    )
    for split, dataset in (("train", train_set), ("val", val_set)):
        for note in dataset.notes if dataset is not None else ():
            console.print(f"  {split}: {note}", highlight=False)


def _steps(
    backend: ModuleType, run: Run, batches: Batches, total_steps: int, workers: int, console: Console, stop: Stop
) -> Iterator[tuple[object, dict]]:
    """Takes all steps that are left; yields after each the state and its line for metrics.jsonl, and shows the
    progress. Interrupted after the step in which the program was asked to stop."""
    state = run.state
    with _progress(console) as progress:
        task = progress.add_task("compiling", total=total_steps, completed=run.step, losses="", speed="")
        last_time, speed = None, None
        for step, batch in enumerate(batches.prefetched(run.step, total_steps, workers), run.step):
            state, values = backend.train_step(state, batch)
            values = {name: float(value) for name, value in values.items()}
            _require_finite(values, step, batches, run)
            now = time.perf_counter()
            if last_time is not None:  # the first step compiles
                recent = batches.batch_size / (now - last_time)
                speed = recent if speed is None else 0.9 * speed + 0.1 * recent
            last_time = now
            line = {"step": step, "epoch": batches.epoch_of(step + 1), **values, "images_per_second": speed}
            _show(progress, task, line)
            yield state, line
            if batches.share[1] > 1:  # a signal reaches the processes at different steps
                signals = backend.gather(np.array(stop.signal or 0))
                stop.signal = int(signals.max()) or None
            stop.check()


def _require_finite(values: dict[str, float], step: int, batches: Batches, run: Run) -> None:
    """ValueError for a loss, or a gradient, that is no number any more; it names the pictures that it came from, and
    the last checkpoint."""
    for name, what in (("loss", "the loss"), ("gradient_norm", "the norm of the gradient")):
        if not math.isfinite(values[name]):
            slots = range(batches.batch_size)
            pictures = ", ".join(batches.dataset.sample(batches.index(step, slot)).name for slot in slots)
            raise ValueError(
                f"{what} became {values[name]} at step {step}; a lower --learning-rate may help, or a look at the "
                f"pictures of that step: {pictures}; {run.last_checkpoint}"
            )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=8),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[losses]}"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
    )


def _show(progress: Progress, task, line: dict) -> None:
    losses = f"heat {line['heatmap']:.2f} off {line['offset']:.2f} size {line['size']:.2f}"
    speed = "" if line["images_per_second"] is None else f"{line['images_per_second']:.0f} images/s"
    progress.update(task, advance=1, description=f"epoch {line['epoch']:.1f}", losses=losses, speed=speed)


def draw_predictions(detector, dataset: Dataset, folder: RunFolder) -> None:
    """predictions.png: the first pictures of a data set with true boxes, found boxes and the heatmap."""
    indices = range(min(SHOWN, len(dataset)))
    pictures = [dataset.image(i) for i in indices]
    found, heatmaps = detector(pictures, SHOWN_CONFIDENCE), detector.heatmaps(pictures)
    samples = [dataset.sample(i) for i in indices]
    rows = [(s.name, p, s.objects, f, h) for s, p, f, h in zip(samples, pictures, found, heatmaps, strict=True)]
    write_picture(folder.predictions, predictions_page(rows, dataset.classes))
