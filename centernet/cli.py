"""The command `centernet`."""

import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Annotated

import tyro

from centernet.config import Bench, Check, DataBench, Eval, Parity, Predict, Prepare, Render, Runs, Subset, Train
from centernet.presets import PRESETS
from centernet.training.signals import Interrupted

DataCommand = (
    Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Subset, tyro.conf.subcommand("subset")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[DataBench, tyro.conf.subcommand("bench")]
)
OtherCommand = (
    Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Runs, tyro.conf.subcommand("runs")]
    | Annotated[Parity, tyro.conf.subcommand("parity")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[DataCommand, tyro.conf.subcommand("data", description="Look data sets over, and make new ones.")]
)


def parse(arguments: Sequence[str] | None = None) -> Train | OtherCommand:
    """The command with its settings; those not given are the defaults, or the preset's if one is chosen."""
    first = ArgumentParser(add_help=False, allow_abbrev=False)  # tyro must know its defaults before it parses
    first.add_argument("--preset", nargs="?")
    preset = PRESETS.get(first.parse_known_args(arguments)[0].preset)
    defaults = {} if preset is None else {"default": preset.settings, "description": preset.description}
    command = Annotated[Train, tyro.conf.subcommand("train", **defaults)] | OtherCommand
    return tyro.cli(command, prog="centernet", description="CenterNet: objects as points.", args=arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Bad input ends it with one line on stderr and status 2, SIGTERM with 143, Ctrl-C with 130."""
    try:
        return _run(parse(arguments))
    except (ValueError, OSError) as error:
        print("centernet:", " ".join(str(error).splitlines()), file=sys.stderr)
        return 2
    except Interrupted as stop:
        again = _command_to_resume(sys.argv[1:] if arguments is None else arguments)
        print(f"centernet: stopped and saved; to go on: {again}", file=sys.stderr)
        return 128 + stop.signal
    except KeyboardInterrupt:
        print("centernet: interrupted", file=sys.stderr)
        return 130


def _command_to_resume(arguments: Sequence[str]) -> str:
    others = [argument for argument in arguments if argument not in ("--overwrite", "--resume")]
    return shlex.join(["centernet", *others, "--resume"])


def _run(
    command: Train | Eval | Predict | Runs | Parity | Bench | Check | Subset | Render | Prepare | DataBench,
) -> int:
    # Imported here, so that --help and a mistyped option answer at once.
    if isinstance(command, Train):
        from centernet.training.loop import train

        train(command)
    elif isinstance(command, Eval):
        from centernet.commands.predict import run_eval

        run_eval(command)
    elif isinstance(command, Runs):
        from centernet.commands.runs import run_runs

        run_runs(command)
    elif isinstance(command, Parity):
        from centernet.backends import open_parity

        return open_parity().run(command)
    elif isinstance(command, Bench):
        from centernet.backends import open_bench

        open_bench().run(command)
    elif isinstance(command, Check):
        from centernet.commands.check import run_check

        return run_check(command)
    elif isinstance(command, Subset):
        from centernet_data.writers.coco import run_subset

        run_subset(command)
    elif isinstance(command, Render):
        from centernet_data.writers.cocotext import run_render

        run_render(command)
    elif isinstance(command, Prepare):
        from centernet_data.writers.tfds import prepare

        prepare(command)
    elif isinstance(command, DataBench):
        from centernet.commands.data_bench import run_bench

        run_bench(command)
    else:
        from centernet.commands.predict import run_predict

        run_predict(command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
