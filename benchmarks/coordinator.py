"""How many rows a second a batch carries where decoding and explaining cost nothing.

    python benchmarks/coordinator.py --images 200000

The command runs as a user runs it, with an engine that gives the same numbers for every batch and
decoders that read no file. Counted are the rows between the first part and the last, and the
processor time of each process.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "batch"),
                str(ROOT / "benchmarks")]

from batch import measured  # noqa: E402
from fake_engine import write_model  # noqa: E402

PROGRAM = """import sys
sys.path[:0] = {!r}
import free
free.install()
from caffe_gradcam.commands.cli import main
sys.exit(main())
"""


def main() -> None:
    options = parse()
    folder = Path(tempfile.mkdtemp(dir=options.scratch))
    try:
        print(json.dumps(carried(options, folder), indent=1))
    finally:
        shutil.rmtree(str(folder))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--decoders", type=int, default=1)
    parser.add_argument("--part-size", type=int, default=10000)
    parser.add_argument("--scratch", help="a folder for the files")
    return parser.parse_args()


def carried(options: argparse.Namespace, folder: Path) -> Dict[str, Any]:
    """Run the command; rows per second, memory, and processor time per row."""
    model = write_model(folder / "model")
    source = folder / "list.txt"
    source.write_text("".join(f"photographs/{index:09d}.jpg {index % 3}\n"
                              for index in range(options.images)))
    return measured(command(options, model, source, folder / "out"), options.images,
                    folder / "out")


def command(options: argparse.Namespace, model: Path, source: Path, output: Path) -> List[str]:
    paths = [str(ROOT / "benchmarks"), str(ROOT / "tests"), str(ROOT)]
    return [sys.executable, "-c", PROGRAM.format(paths), "batch", str(model), str(source), "-o",
            str(output), "--engine", "torch", "--batch", str(options.batch),
            "--threads", str(len(os.sched_getaffinity(0))),  # one net
            "--decoders", str(options.decoders), "--part-size", str(options.part_size),
            "--log-json"]


if __name__ == "__main__":
    main()
