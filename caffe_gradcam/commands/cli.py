"""The command ``caffe-gradcam``."""

import contextlib
import importlib
import os
import sys
from typing import Any, Iterator, Optional, Sequence

from caffe_gradcam import __version__
from caffe_gradcam.commands import logs
from caffe_gradcam.model import unpacked
from caffe_gradcam.model.limits import Limits
from prototxt_tools.commands import stdout, terminal
from prototxt_tools.commands.parsing import Parser, add_completion
from prototxt_tools.errors import InputError

_COMMANDS = ("explain", "evaluate", "models", "doctor", "batch", "render", "report", "export",
             "serve", "compare", "survey", "evidence")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        The exit code: 0: done; 1: some images failed; 2: the input is unusable.
    """
    with terminal.safe_streams():
        given = sys.argv[1:] if arguments is None else arguments
        code = _run(given)
    if arguments is None and "torch" in sys.modules:
        _leave(code)
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        options = stdout.parsed(_parser(*arguments[:1]), arguments)
        with _quiet_libraries(options.verbose), terminal.safe_streams(), logs.shown(
                options.verbose, options.quiet), _limits(options).in_force():
            code: int = options.run(options)
            sys.stdout.flush()
            return code
    except InputError as error:
        print(f"{logs.PROGRAM}: {terminal.one_line(error)}", file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"{logs.PROGRAM}: a library cannot be imported: {terminal.one_line(error)}",
              file=sys.stderr)
        return 2
    except MemoryError:
        return stdout.report_no_memory(logs.PROGRAM, "smaller images or a smaller batch")
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return stdout.report_failure(logs.PROGRAM, error)


def _leave(code: int) -> None:
    """End the process here: after a backward pass, Debian 11's torch aborts or hangs when the
    interpreter shuts down."""
    sys.stdout.flush()
    sys.stderr.flush()
    unpacked.remove_all()
    os._exit(code)


def _parser(command: str = "") -> Parser:
    """What reads the arguments of one command; where none of that name is known, of all."""
    parser = Parser(
        prog=logs.PROGRAM, description="Show what a Caffe net looked at.",
        epilog="`caffe-gradcam COMMAND --help` explains a command.")
    parser.add_argument("--version", action="version", version=__version__)
    add_completion(parser)
    parser.set_defaults(verbose=False, quiet=False, max_bytes=None, max_pixels=None)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    commands.required = True
    for name in (command,) if command in _COMMANDS else _COMMANDS:
        importlib.import_module("caffe_gradcam.commands." + name).add(commands)
    return parser


def _limits(options: Any) -> Limits:
    return Limits(options.max_bytes, options.max_pixels)


@contextlib.contextmanager
def _quiet_libraries(verbose: bool) -> Iterator[None]:
    """Keep what C libraries write (libpng, libjpeg, glog) off the screen.

    They write to file descriptor 2 whatever Python's sys.stderr is; so the descriptor leads
    nowhere meanwhile, and sys.stderr to where it led.
    """
    if verbose or not _is_descriptor_2(sys.stderr):
        yield
        return
    sys.stderr.flush()
    screen, python_stderr = os.dup(2), sys.stderr
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    encoding = python_stderr.encoding
    with os.fdopen(screen, "w", 1, encoding=encoding, errors="backslashreplace") as stream:
        sys.stderr = stream
        try:
            yield
        finally:
            sys.stderr = python_stderr
            stream.flush()
            os.dup2(screen, 2)


def _is_descriptor_2(stream: Any) -> bool:
    try:
        return bool(stream.fileno() == 2)
    except (AttributeError, OSError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(main())
