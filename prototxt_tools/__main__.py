"""``python -m prototxt_tools`` is the command ``prototxt-tools``."""

import sys

from prototxt_tools.commands.cli import main

sys.exit(main())
