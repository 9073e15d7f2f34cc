"""One module per command of ``prototxt-tools``; each has ``add(commands)``."""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = Any  # argparse's class is not generic at run time
