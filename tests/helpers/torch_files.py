"""Weights files: torch's own and handmade ones, and what a reader says of those that it cannot read."""

import io
import zipfile

import pytest
import torch

from centernet_data.contract.torch_file import read_tensors

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def save(path, content, zipped=True):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def zip_of(pickled, storages=None, folder="archive/"):
    """A file in torch's zip format around any pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(folder + "data.pkl", pickled)
        for key, numbers in (storages or {}).items():
            archive.writestr(f"{folder}data/{key}", numbers)
    return buffer.getvalue()


def assert_refused(path, read=read_tensors):
    """Asserts a ValueError of one line that starts with the file."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is looked at here)
        read(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    assert not message.endswith("()")


def assert_refused_or_read(path, read=read_tensors):
    try:
        read(path)
    except ValueError:
        assert_refused(path, read)
