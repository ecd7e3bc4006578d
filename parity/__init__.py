"""Moves weights between the two backends, and proves that the two are one detector."""

from parity.compare import Difference, compare
from parity.transfer import load_variables, to_jax_state, to_torch_state, variables_of

__all__ = ["Difference", "compare", "load_variables", "to_jax_state", "to_torch_state", "variables_of"]
