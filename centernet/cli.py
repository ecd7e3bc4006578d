"""The command `centernet`."""

import shlex
import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Annotated

import tyro

from centernet import __version__
from centernet.commands.bench import Bench
from centernet.commands.check import Check
from centernet.commands.convert import Convert
from centernet.commands.data_bench import DataBench
from centernet.commands.eval import Eval
from centernet.commands.fetch import Fetch
from centernet.commands.parity import Parity
from centernet.commands.predict import Predict
from centernet.commands.render import Render
from centernet.commands.runs import Runs
from centernet.commands.train import Train
from centernet.options import Command
from centernet.presets import PRESETS
from centernet.terminal import complain, never_fail_for_a_character, warn_in_one_line
from centernet.training.signals import Interrupted
from centernet_data.contract.checks import collected

DataCommand = (
    Annotated[Fetch, tyro.conf.subcommand("fetch")]
    | Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Convert, tyro.conf.subcommand("convert")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[DataBench, tyro.conf.subcommand("bench")]
)
OtherCommand = (
    Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Runs, tyro.conf.subcommand("runs")]
    | Annotated[Parity, tyro.conf.subcommand("parity")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[DataCommand, tyro.conf.subcommand("data", description="Fetch and check data sets, and make new ones.")]
)


def parse(arguments: Sequence[str] | None = None) -> Command:
    """The command with its options. Options not given have their defaults, or the values of the chosen preset.

    Raises ValueError for a value out of range; tyro itself ends the program for what it cannot parse.
    """
    first = ArgumentParser(add_help=False, allow_abbrev=False)  # tyro needs the defaults before it parses
    first.add_argument("--preset", nargs="?")
    preset = PRESETS.get(first.parse_known_args(arguments)[0].preset)
    defaults = {} if preset is None else {"default": preset.settings, "description": preset.description}
    command = Annotated[Train, tyro.conf.subcommand("train", **defaults)] | OtherCommand
    with collected() as refused:
        parsed = tyro.cli(
            command,
            prog="centernet",
            description="CenterNet (Objects as Points): train, evaluate and use object detectors.",
            args=arguments,
        )
    if refused:
        raise ValueError(refused[0])
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns its exit status: for bad input 2, with one line on stderr; 1 if a part of the work
    failed, which is said; after SIGTERM 143; after Ctrl-C 130."""
    never_fail_for_a_character()
    warn_in_one_line()
    warnings.filterwarnings("ignore", r"Image size \(")  # Pillow's, of a large picture; another one names the file
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if list(arguments) == ["--version"]:
            print(__version__, flush=True)
            return 0
        return parse(arguments).run()
    except (ValueError, OSError) as error:
        complain(str(error))
        return 2
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        complain("out of memory; a smaller --batch-size or --image-size needs less, and so does --remat in training")
        return 2
    except Interrupted as stop:
        complain(f"stopped, state saved; resume with: {_command_to_resume(arguments)}")
        return 128 + stop.signal
    except KeyboardInterrupt:
        complain("interrupted")
        return 130


def _is_lack_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Of Python, of XLA, or of torch on a GPU or a CPU."""
    words = ("RESOURCE_EXHAUSTED", "out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def _command_to_resume(arguments: Sequence[str]) -> str:
    others = [argument for argument in arguments if argument not in ("--overwrite", "--resume")]
    return shlex.join(["centernet", *others, "--resume"])


if __name__ == "__main__":
    sys.exit(main())
