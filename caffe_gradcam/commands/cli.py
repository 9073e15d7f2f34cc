"""The command ``caffe-gradcam``."""

import argparse
import contextlib
import os
import sys
import warnings

from caffe_gradcam import __version__
from caffe_gradcam.commands import batch, doctor, evaluate, explain, models, render
from prototxt_tools.commands import stdout
from prototxt_tools.errors import InputError


def main(arguments=None):
    """Run the command line.

    Returns
    -------
    int
        The exit code: 0 done, 1 some items failed, 2 nothing could be done.
    """
    code = _run(_parser().parse_args(arguments))
    if arguments is None and "torch" in sys.modules:
        _leave(code)
    return code


def _run(options):
    try:
        with _quiet_libraries(options.verbose), warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = options.run(options)
            sys.stdout.flush()
            return code
    except InputError as error:
        print(f"caffe-gradcam: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"caffe-gradcam: an import failed: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return stdout.lost("caffe-gradcam", error)


def _leave(code):
    """End the process here: after a backward pass, Debian 11's torch aborts or hangs when the
    interpreter takes itself down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _parser():
    parser = argparse.ArgumentParser(
        prog="caffe-gradcam", description="What a Caffe net looked at."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    commands.required = True
    explain.add(commands)
    evaluate.add(commands)
    models.add(commands)
    doctor.add(commands)
    batch.add(commands)
    render.add(commands)
    return parser


def _show_warning(message, *_, **__):
    """One line, as errors have it."""
    print(f"caffe-gradcam: warning: {message}", file=sys.stderr)


@contextlib.contextmanager
def _quiet_libraries(verbose):
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
    with os.fdopen(screen, "w", 1, encoding=encoding, errors="backslashreplace") as own:
        sys.stderr = own
        try:
            yield
        finally:
            sys.stderr = python_stderr
            own.flush()
            os.dup2(screen, 2)


def _is_descriptor_2(stream):
    try:
        return stream.fileno() == 2
    except (AttributeError, OSError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(main())
