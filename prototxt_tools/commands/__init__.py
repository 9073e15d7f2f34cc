"""One module per command of ``prototxt-tools``; each has ``add(commands)``."""

import argparse
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = Any  # argparse's class is not generic at run time

_WIDTH = 78


def add_command(commands: Commands, name: str, summary: str, description: str,
                examples: str) -> argparse.ArgumentParser:
    """Add a command whose help has its description wrapped and its examples as they are."""
    return commands.add_parser(
        name,
        help=summary,
        description=textwrap.fill(description, _WIDTH),
        epilog=examples,
    )
