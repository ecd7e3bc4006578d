"""A training state on disk: written while training goes on, and read onto whatever devices there are."""

import logging
import os
import re
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax.serialization import from_state_dict, to_state_dict

from centernet_jax.train import TrainState


def _quiet(unraisable, hook=sys.unraisablehook) -> None:
    if str(unraisable.exc_value) != "Event loop is closed":
        hook(unraisable)


# After a failed save orbax writes its traceback to the log, and leaves coroutines and writes behind that Python
# complains of. The error comes out of `wait` as well, and is told in one line.
logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
warnings.filterwarnings("ignore", "coroutine 'async_serialize", RuntimeWarning)
sys.unraisablehook = _quiet


class Checkpointer:
    """Writes one state at a time in the background, and reads it back. A state is a folder here."""

    def __init__(self):
        several = jax.process_count() > 1  # of which this one writes alone, and need not wait for the others
        alone = ocp.options.MultiprocessingOptions(jax.process_index(), {jax.process_index()}, "alone")
        self._orbax = ocp.StandardCheckpointer(**({"multiprocessing_options": alone} if several else {}))

    def save(self, path: Path, state: TrainState) -> None:
        """Begins to write; what was begun earlier must have been waited for. `path` appears when it is whole.

        All arrays of the state are copied before this returns, so that a step may use their memory anew.
        """
        self._orbax.save(path.absolute(), _arrays(state))

    def wait(self) -> None:
        """Until nothing is being written. OSError if the last `save` failed for want of room or permission."""
        try:
            self._orbax.wait_until_finished()
        except Exception as error:
            # tensorstore tells the system's own error inside of its long one.
            code = re.search(r"os_error_code='(\d+)'", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error

    def restore(self, path: Path, state: TrainState) -> TrainState:
        """The state in `path`, on the devices of `state`, which has arrays of the same shapes; with several processes
        as numpy arrays.

        Nearly any exception if it is damaged, or is a state of another kind.
        """
        return from_state_dict(state, self._orbax.restore(path.absolute(), _arrays(state)))


def _arrays(state: TrainState) -> dict:
    """The state's arrays by name. With several processes they are numpy's: saving JAX's own takes all processes."""
    arrays = to_state_dict(state)
    return jax.tree.map(np.array, arrays) if jax.process_count() > 1 else arrays
