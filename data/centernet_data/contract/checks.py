"""Checks of option values, in the words of the command line."""


def require(name: str, value: object, good: bool, what: str) -> None:
    """Raises ValueError, naming the option, unless its value is `good`."""
    if not good:
        raise ValueError(f"--{name.replace('_', '-')} must be {what}, not {value}")
