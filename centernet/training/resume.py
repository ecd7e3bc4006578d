"""Whether a run is gone on with under the settings that it was begun with."""

from collections.abc import Mapping
from pathlib import Path

# Where a run lies, how often it is saved, who makes its batches and who watches changes nothing of what it computes.
# What a preset has set is compared by itself.
FREE = {
    "preset",
    "out",
    "overwrite",
    "resume",
    "checkpoint_every",
    "workers",
    "coordinator",
    "processes",
    "process",
    "tensorboard",
}


class OtherSettings(ValueError):
    """A run is to be gone on with, but under other settings."""


def require_same_settings(old: Mapping, new: Mapping, where: str | Path) -> None:
    """OtherSettings names the settings that differ, nested ones with a dot. What is None may be left out."""
    old, new = flattened(old), flattened(new)
    names = [name for name in {**old, **new} if name not in FREE and old.get(name) != new.get(name)]
    if names:
        listed = ", ".join(f"{name.replace('_', '-')} {_show(old, name)} (now {_show(new, name)})" for name in names)
        raise OtherSettings(f"{where}: begun with other settings: {listed}; without --resume choose another --out")


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
