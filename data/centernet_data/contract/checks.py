"""Checks of option values, in the words of the command line."""


def require(name: str, value: object, valid: bool, what: str) -> None:
    """Raises ValueError, naming the option, unless its value is `valid`."""
    if not valid:
        raise ValueError(f"--{name.replace('_', '-')} must be {what}, not {value}")
