"""Options of the training targets, and their checks."""

from typing import Any, Literal, get_args

from centernet_data.contract.options import is_odd, is_whole, require_argument, require_choice, require_count

Targets = Literal["adaptive", "exact", "fixed"]  # the spread of the heatmap's peaks


def check_target_options(targets: Any, smooth_kernel_size: Any) -> None:
    """Raises ValueError for options that no targets are drawn with."""
    require_choice("targets", targets, get_args(Targets))
    valid = is_whole(smooth_kernel_size) and (smooth_kernel_size == 0 or is_odd(smooth_kernel_size))
    require_argument("smooth_kernel_size", smooth_kernel_size, valid, "0 or odd")


def check_target_form(hw: Any, num_classes: Any) -> None:
    """Raises ValueError for a grid or a number of classes that no points have."""
    grid_of(hw)
    require_count("num_classes", num_classes)


def grid_of(hw: Any) -> tuple[int, int]:
    """`hw` as (height, width) in cells: one whole number for a square, or a tuple of two. Raises ValueError for
    anything else."""
    pair = hw if isinstance(hw, tuple) else (hw, hw)
    valid = len(pair) == 2 and all(is_whole(side) and side >= 1 for side in pair)
    require_argument("hw", hw, valid, "a whole number of cells of at least 1, or a tuple (height, width) of them")
    return int(pair[0]), int(pair[1])


def check_one_source(given: Any, kind: type, loss: Any) -> None:
    """Raises ValueError if a loss that was `given` an `ObjectsToPoints` has options of its own that differ from it."""
    if not isinstance(given, kind):
        raise ValueError(f"obj_to_points must be {kind.__module__}.{kind.__name__}, not {type(given).__name__}")
    defaults = {"hw": None, "num_classes": None, "smooth_kernel_size": 3, "targets": "fixed"}
    for name, default in defaults.items():
        own, its = getattr(loss, name), getattr(given, name)
        if own not in (default, its):
            raise ValueError(
                f"obj_to_points has {name}={its!r}, so that {name}={own!r} would be ignored; give only one"
            )


def check_grid(
    options_hw: tuple[int, int], options_classes: int, points_hw: tuple[int, int], points_classes: int
) -> None:
    """Raises ValueError if targets are drawn on another grid or for other classes than the points have."""
    if options_hw != points_hw or options_classes != points_classes:
        raise ValueError(
            f"the targets have {options_hw[0]} x {options_hw[1]} cells and {options_classes} classes, but the points "
            f"have {points_hw[0]} x {points_hw[1]} cells and {points_classes} classes; "
            f"give hw={points_hw} and num_classes={points_classes}"
        )
