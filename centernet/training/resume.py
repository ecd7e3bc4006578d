"""Checks that a run resumes with its original settings."""

from collections.abc import Mapping
from pathlib import Path

# Where a run lies and computes, how often it is saved, and who makes its batches or watches it, do not change what it
# computes. The settings that a preset makes are compared one by one.
FREE = {
    "preset",
    "device",
    "out",
    "overwrite",
    "resume",
    "checkpoint_every",
    "verify",
    "workers",
    "coordinator",
    "processes",
    "process",
    "tensorboard",
}

# What settings that came later are in the config.toml of an older run: the way in which it was trained.
ADDED_LATER = {
    "augmentation.vertical_flip": False,
    "augmentation.turn": False,
    "augmentation.mosaic": 0,
    "augmentation.without_mosaic": 0.1,
    "augmentation.balance": 0,
}


class OtherSettings(ValueError):
    """A run is to be resumed, but with other settings."""


def require_same_settings(old: Mapping, new: Mapping, where: str | Path) -> None:
    """Raises OtherSettings, naming the settings that differ, nested ones with a dot. What is None may be left out."""
    old, new = ADDED_LATER | flattened(old), ADDED_LATER | flattened(new)
    names = [name for name in old | new if name not in FREE and old.get(name) != new.get(name)]
    if names:
        listed = ", ".join(f"{name.replace('_', '-')} {_show(old, name)} (now {_show(new, name)})" for name in names)
        raise OtherSettings(
            f"{where}: was started with different settings: {listed}; resume it with those, or choose another --out "
            "without --resume"
        )


def flattened(settings: Mapping) -> dict:
    """Nested settings by their dotted names; tuples as lists, which is what TOML has."""
    flat = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": item for inner, item in flattened(value).items()}
        else:
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat


def _show(settings: Mapping, name: str) -> str:
    value = settings.get(name)
    return "not given" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)
