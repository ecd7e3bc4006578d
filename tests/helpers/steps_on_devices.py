"""Trains and detects on simulated devices, and writes the results to a file. test_devices.py runs this in processes.

Arguments: the file to write, the number of devices, the precision; with several processes also the coordinator's
address, the number of processes and the index of this one.
"""

import sys

import jax
import numpy as np

path, devices, dtype, *cluster = sys.argv[1:]
jax.config.update("jax_num_cpu_devices", int(devices))
jax.config.update("jax_enable_x64", dtype == "float64")
processes, process = (int(number) for number in cluster[1:]) if cluster else (1, 0)
if cluster:
    jax.distributed.initialize(cluster[0], processes, process)

from centernet_data.contract.recipe import Recipe  # noqa: E402
from centernet_data.contract.weights_file import ModelConfig  # noqa: E402
from centernet_jax import Detector  # noqa: E402
from centernet_jax.devices import replicate  # noqa: E402
from centernet_jax.train import create_state, train_step  # noqa: E402

SIDE, PICTURES, STEPS = 64, 16, 3
DETECTED = 11  # pictures; not a multiple of the devices


def batch(step):
    """The whole batch: pictures of noise with 0 to 3 objects each."""
    rng = np.random.default_rng(step)
    objects = np.zeros((PICTURES, 3, 6), np.float32)
    for index in range(PICTURES):
        objects[index, : index % 4, :2] = rng.uniform(10, 54, (index % 4, 2))
        objects[index, : index % 4, 2:4] = rng.uniform(6, 40, (index % 4, 2))
        objects[index, : index % 4, 4:] = [index % 2, 1]
    return {"image": rng.integers(0, 256, (PICTURES, SIDE, SIDE, 3), np.uint8), "objects": objects}


assert jax.device_count() == int(devices) * processes
recipe = Recipe(learning_rate=1e-3, total_steps=10, accumulate=2)
config = ModelConfig(("a", "b"), (SIDE, SIDE), depth=18)
state = create_state(config, recipe)
state = replicate(jax.tree.map(lambda array: array.astype(dtype) if array.ndim else array, state), jax.devices())
share = slice(process * PICTURES // processes, (process + 1) * PICTURES // processes)
results = {}
for step in range(STEPS):
    state, metrics = train_step(state, {name: values[share] for name, values in batch(step).items()})
    results |= {f"{step} {name}": np.asarray(value) for name, value in metrics.items()}
assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves(state))
leaves, _ = jax.tree_util.tree_flatten_with_path(state)
results |= {jax.tree_util.keystr(key): np.asarray(leaf) for key, leaf in leaves}
results["objects"] = Detector.of(state, config).detect(batch(STEPS)["image"][:DETECTED])
np.savez(path, **results)
