"""A training state on disk: written between two steps, and read onto whatever device there is."""

from io import BytesIO
from pathlib import Path

import torch

from centernet_data.contract.files import written_beside
from centernet_data.contract.recipe import Recipe
from centernet_torch.train import TrainState


class Checkpointer:
    """Writes a state, and reads it back. A state is a file here."""

    def save(self, path: Path, state: TrainState) -> None:
        """Writes beside `path` and renames. OSError if there is no room or no permission."""
        content = {name: _to_save(value) for name, value in state._asdict().items() if not isinstance(value, Recipe)}
        buffer = BytesIO()  # torch's own writing hides the system's error behind its own
        torch.save(content, buffer)
        with written_beside(path) as beside:
            beside.write_bytes(buffer.getbuffer())

    def wait(self) -> None:
        """`save` has finished already, unlike its twin."""

    def restore(self, path: Path, state: TrainState) -> TrainState:
        """The state in `path`; the model and the optimizer of `state` are changed in place.

        Nearly any exception if it is damaged, or is a state of another kind.
        """
        content = torch.load(path, map_location="cpu", weights_only=True)
        return state._replace(**{name: _restored(getattr(state, name), value) for name, value in content.items()})


def _to_save(value):
    return value.state_dict() if hasattr(value, "state_dict") else value


def _restored(old, value):
    if isinstance(old, dict):
        return {name: tensor.to(old[name].device) for name, tensor in value.items()}
    if not hasattr(old, "load_state_dict"):
        return value
    old.load_state_dict(value)
    return old
