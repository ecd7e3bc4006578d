"""A training state as named arrays, the same names and layouts in both backends, and back.

Names: "step"; "model.NAME" and "ema.NAME" for weights and running statistics, "exp_avg.NAME" and "exp_avg_sq.NAME" for
Adam's moments, where NAME is torch's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.serialization import from_state_dict, to_state_dict

from centernet_data.contract.checkpoint import part_of, require_same_arrays
from centernet_jax.devices import devices_of, replicate
from centernet_jax.train import TrainState
from centernet_jax.weights import to_flax, to_torch


def to_arrays(state: TrainState) -> dict[str, np.ndarray]:
    """Everything in the state, copied into numpy arrays; the next step may use the state's memory."""
    mu, nu = (optax.tree_utils.tree_get(state.opt_state, name) for name in ("mu", "nu"))
    trees = {"model": state.variables, "ema": state.ema, "exp_avg": {"params": mu}, "exp_avg_sq": {"params": nu}}
    arrays = {"step": np.array(int(state.step))}
    for part, tree in trees.items():
        arrays |= {f"{part}.{name}": np.array(value, order="C") for name, value in to_torch(tree).items()}
    return arrays


def from_arrays(state: TrainState, arrays: Mapping[str, np.ndarray]) -> TrainState:
    """A state made from such arrays, on the devices of `state`, which gives the names, shapes and precisions.

    Raises ValueError, naming the first array that is missing, unknown, misshapen or of another precision.
    """
    require_same_arrays(to_arrays(state), arrays)
    model, ema = (to_flax(part_of(arrays, name)) for name in ("model", "ema"))
    mu, nu = (to_flax(part_of(arrays, name))["params"] for name in ("exp_avg", "exp_avg_sq"))
    step = int(arrays["step"])
    opt_state = optax.tree_utils.tree_set(state.opt_state, count=jnp.array(step, jnp.int32), mu=mu, nu=nu)
    return replicate(
        state.replace(
            step=jnp.asarray(step, state.step.dtype),
            params=model["params"],
            batch_stats=model["batch_stats"],
            opt_state=jax.tree.map(jnp.copy, opt_state),  # both counts are one array, and a step consumes each
            ema=ema,
        ),
        devices_of(state.params),
    )


def read_older(path: Path, state: TrainState) -> TrainState:
    """The state in a folder that a version before 0.2 wrote with Orbax. Nearly any exception if it is damaged."""
    import orbax.checkpoint as ocp  # here, because it is slow to import and only older runs need it

    restored = ocp.StandardCheckpointer().restore(path.absolute(), to_state_dict(state))
    return cast(TrainState, from_state_dict(state, restored))
