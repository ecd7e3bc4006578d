"""Options of the training targets, and their checks."""

from typing import Literal, get_args

Targets = Literal["adaptive", "exact", "fixed"]  # the spread of the heatmap's peaks


def check_target_options(targets: str, smooth_kernel_size: int) -> None:
    """Raises ValueError for options that no targets are drawn with."""
    if targets not in get_args(Targets):
        raise ValueError(f"targets must be one of {', '.join(get_args(Targets))}, not {targets!r}")
    if smooth_kernel_size < 0 or (smooth_kernel_size and smooth_kernel_size % 2 == 0):
        raise ValueError(f"smooth_kernel_size must be 0 or odd, not {smooth_kernel_size}")


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
