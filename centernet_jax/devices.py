"""Devices and processes: what there is, and how states and batches lie on it."""

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from centernet_data.contract.messages import one_line
from centernet_data.contract.precision import Device, require_device
from centernet_jax.cpu.compiler import warn_of_wrong_reductions

Tree = TypeVar("Tree")
Devices = list[Any]  # of jax.Device, which has no static type


def find_devices(device: Device | None = None) -> Devices:
    """All devices of that kind, of all processes; by default those of the best kind that JAX finds.

    Raises ValueError if there is none. On a CPU, where JAX may compute wrongly, it warns of that once.
    """
    require_device(device)
    try:
        jax.devices()  # of any kind
    except (RuntimeError, AssertionError) as error:  # a bare AssertionError if nothing of JAX_PLATFORMS is installed
        chosen = f" with JAX_PLATFORMS={os.environ['JAX_PLATFORMS']}" if "JAX_PLATFORMS" in os.environ else ""
        reason = one_line(error) if str(error) else "there is no such device"
        raise ValueError(f"JAX does not start here{chosen}: {reason}") from error
    try:
        devices = jax.devices(device)
    except RuntimeError as error:
        raise ValueError(f"--device {device}: JAX finds no such device here") from error
    if devices[0].platform == "cpu":
        warn_of_wrong_reductions()
    return devices


def join_processes(coordinator: str | None, processes: int | None, process: int | None) -> tuple[int, int]:
    """Joins `processes` processes, of which this is number `process`, into one training; returns (process, processes).

    `coordinator` is HOST:PORT of process 0, or "auto" where the cluster's environment provides all three (SLURM, MPI,
    TPU pods: `jax.distributed.initialize`), or None for a single process. To be called before anything is computed.
    Raises ValueError if the processes cannot connect."""
    if coordinator is None and (processes, process) != (None, None):
        raise ValueError("--processes and --process go with a --coordinator")
    if coordinator is not None:
        try:
            if coordinator == "auto":
                jax.distributed.initialize()
            else:
                jax.distributed.initialize(coordinator, processes, process)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"--coordinator {coordinator}: could not connect the processes: {error}") from error
    find_devices()  # which says so where JAX does not start
    return jax.process_index(), jax.process_count()


def all_gather(values: np.ndarray) -> np.ndarray:
    """The arrays of all processes, all of one shape, stacked in the order of the processes; bit for bit."""
    if jax.process_count() == 1:
        return values[None]
    content = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)  # JAX would round float64
    gathered = np.asarray(multihost_utils.process_allgather(content))
    return np.frombuffer(gathered.tobytes(), values.dtype).reshape(-1, *values.shape)


def broadcast_from_first(step: int, state: Tree) -> tuple[int, Tree]:
    """The step and the state of the first process, in all processes."""
    leaves, kind = jax.tree.flatten(state)
    copies = (np.array(step), [np.asarray(leaf) for leaf in leaves])
    step, leaves = multihost_utils.broadcast_one_to_all(copies)
    return int(step), replicate(jax.tree.unflatten(kind, leaves), devices_of(state))


def devices_of(tree: object) -> Devices:
    """The devices that a tree of arrays lies on, of all processes."""
    return sorted(jax.tree.leaves(tree)[0].sharding.device_set, key=lambda device: device.id)


def local_devices_of(tree: object) -> Devices:
    """The devices of this process that a tree of arrays lies on."""
    return [device for device in devices_of(tree) if device.process_index == jax.process_index()]


def mesh_of(devices: Devices) -> Mesh:
    """The devices in a row, along which a batch is split."""
    return jax.make_mesh((len(devices),), ("batch",), axis_types=(AxisType.Auto,), devices=devices)


def replicate(tree: Tree, devices: Devices) -> Tree:
    """A copy of every array on each of the devices; all processes give the same. It waits for no other process."""
    if len(devices) == 1:
        return jax.device_put(tree, devices[0])
    sharding = NamedSharding(mesh_of(devices), P())
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    # `device_put` would wait here for the others, to compare; but only the first process restores a checkpoint.
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), tree)


def shard_batch(batch: Mapping[str, np.ndarray | jax.Array], devices: Devices) -> dict:
    """This process's part of a batch as arrays of the whole batch, spread evenly over the devices of all processes.

    Raises ValueError if the devices cannot have equal parts.
    """
    if len(devices) == 1:
        return jax.device_put(dict(batch), devices[0])
    mesh = mesh_of(devices)
    own = len(mesh.local_devices)
    if len(batch["image"]) % own:
        raise ValueError(f"{len(batch['image'])} pictures a step cannot be split evenly over {own} devices")
    sharding = NamedSharding(mesh, P("batch"))
    return {name: jax.make_array_from_process_local_data(sharding, np.asarray(batch[name])) for name in batch}
