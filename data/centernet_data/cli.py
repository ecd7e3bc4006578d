"""The command `centernet`."""

import sys
from typing import Annotated

import tyro

from centernet_data.config import Eval, Parity, Predict, Render, Train

# A union of one is no group of commands; what is suppressed makes it one.
DataCommand = Annotated[Render, tyro.conf.subcommand("render")] | Annotated[None, tyro.conf.Suppress]
Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Parity, tyro.conf.subcommand("parity")]
    | Annotated[DataCommand, tyro.conf.subcommand("data", description="Write a data set to files.")]
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Bad input ends it with one line on stderr and status 2."""
    try:
        return _run(tyro.cli(Command, prog="centernet", description="CenterNet: objects as points.", args=arguments))
    except (ValueError, OSError) as error:
        print("centernet:", " ".join(str(error).splitlines()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("centernet: interrupted", file=sys.stderr)
        return 130


def _run(command: Train | Eval | Predict | Parity | Render) -> int:
    # Imported here, so that --help and a mistyped option answer at once.
    if isinstance(command, Train):
        from centernet_data.training import train

        train(command)
    elif isinstance(command, Eval):
        from centernet_data.prediction import run_eval

        run_eval(command)
    elif isinstance(command, Parity):
        from centernet_data.backends import open_parity

        return open_parity().run(command)
    elif isinstance(command, Render):
        from centernet_data.rendering import run_render

        run_render(command)
    else:
        from centernet_data.prediction import run_predict

        run_predict(command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
