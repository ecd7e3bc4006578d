"""What states and processes are made from is checked, in both backends in the same words."""

import pytest

from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe

pytestmark = pytest.mark.usefixtures("as_users_call")
TINY = ModelConfig(("a",), (32, 32), depth=18)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", True, None])
def test_seeds_that_the_backends_would_confuse_are_refused(twin, seed):
    with pytest.raises(ValueError, match="seed must be a whole number from 0 to 4294967295"):
        twin.package.create_state(TINY, Recipe(total_steps=1), seed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda"}, "device must be one of cpu, gpu, not 'cuda'"),
        ({"config": "x"}, "config must be a ModelConfig, not 'x'"),
        ({"recipe": None}, "recipe must be a Recipe, not None"),
        ({"pretrained": ""}, "a folder; give a"),
    ],
)
def test_states_of_anything_else_are_refused(twin, options, message):
    with pytest.raises(ValueError, match=message):
        twin.package.create_state(**{"config": TINY, "recipe": Recipe(total_steps=1), **options})


def test_processes_without_a_coordinator_are_refused(twin):
    with pytest.raises(ValueError, match="--coordinator"):
        twin.package.join_processes(None, 4, 1)
