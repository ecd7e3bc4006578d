"""A training state as named arrays, the same names and layouts in both backends, and back.

Names: "step"; "model.NAME" and "ema.NAME" for weights and running statistics, "exp_avg.NAME" and "exp_avg_sq.NAME" for
Adam's moments, where NAME is torch's.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from centernet_data.contract.checkpoint import part_of, require_same_arrays
from centernet_torch.train import TrainState
from centernet_torch.weights import copy_weights


def to_arrays(state: TrainState) -> dict[str, np.ndarray]:
    """Everything in the state, copied into numpy arrays; the next step may use the state's memory."""
    adam = state.optimizer.state
    parts: dict[str, dict[str, Tensor]] = {"model": copy_weights(state.model), "ema": state.ema}
    for moment in ("exp_avg", "exp_avg_sq"):  # zeros before the first step, and for frozen parameters
        named = state.model.named_parameters()
        parts[moment] = {name: adam[p][moment] if p in adam else torch.zeros_like(p) for name, p in named}
    arrays = {"step": np.array(state.step)}
    for part, tensors in parts.items():
        numbers = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        arrays |= {f"{part}.{name}": np.array(value, order="C") for name, value in numbers.items()}
    return arrays


def from_arrays(state: TrainState, arrays: Mapping[str, np.ndarray]) -> TrainState:
    """A state made from such arrays, on the device of `state`, which gives the names, shapes and precisions. The model,
    the optimizer and the average of `state` change in place.

    Raises ValueError, naming the first array that is missing, unknown, misshapen or of another precision.
    """
    require_same_arrays(to_arrays(state), arrays)
    step = int(arrays["step"])
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in part_of(arrays, "model").items()}
    state.model.load_state_dict(tensors, strict=False)  # without num_batches_tracked, which nothing reads
    for name, value in part_of(arrays, "ema").items():
        state.ema[name].copy_(torch.from_numpy(np.array(value)))
    state.optimizer.state.clear()
    for name, parameter in state.model.named_parameters() if step else ():
        moments = {moment: torch.empty_like(parameter) for moment in ("exp_avg", "exp_avg_sq")}
        for moment, tensor in moments.items():
            tensor.copy_(torch.from_numpy(np.array(arrays[f"{moment}.{name}"])))
        state.optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}
    return state._replace(step=step)


def read_older(path: Path, state: TrainState) -> TrainState:
    """The state in a file that a version before 0.2 wrote with torch.save. Nearly any exception if it is damaged."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    state.model.load_state_dict(content["model"])
    state.optimizer.load_state_dict(content["optimizer"])
    for name, tensor in content["ema"].items():
        state.ema[name].copy_(tensor)
    return state._replace(step=content["step"])
