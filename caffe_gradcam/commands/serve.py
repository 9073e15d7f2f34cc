"""caffe-gradcam serve: a local page, and a service, for one model."""

import argparse
import sys
from typing import Any

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import QuestionError

DESCRIPTION = """\
Serve a page that shows what the net looked at in images that are dropped on it, with a choice of
classes, methods, layers and parts of the image. Nothing is kept on disk. The same operations are
available as JSON, described at /openapi.json.
"""

EXAMPLES = """\
examples:
  caffe-gradcam serve models/digits
      then open the address that is printed
  caffe-gradcam serve models/squeezenet --host 0.0.0.0 --allow-host gpu1.example
      for other machines too, with a token in the address that is printed

exit codes: 0: interrupted; 2: the model is unusable, or the port is taken
"""


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "serve", "serve a page that explains dropped images",
        description=DESCRIPTION, epilog=EXAMPLES,
        usage="caffe-gradcam serve MODEL [option ...]")
    parser.add_argument("model.path", metavar="MODEL",
                        help="a model folder, a prototxt, or the name of a public model")
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1",
                        help="where to listen (default: 127.0.0.1, this machine alone)")
    parser.add_argument("--port", metavar="N", type=_port, default=8000,
                        help="the port to listen on (default: 8000)")
    parser.add_argument("--token", metavar="TEXT",
                        help="the secret that requests must carry (default: for this machine "
                        "alone none, otherwise a new one, which is printed)")
    parser.add_argument("--allow-host", metavar="NAME", action="append", default=[],
                        help="a name by which other machines may address this one; repeatable")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=60.0,
                        help="the time limit for one answer (default: 60)")
    running = parser.add_argument_group("how to run")
    shared.add_running(running)
    shared.add_model(parser.add_argument_group(
        "the model, where its folder does not specify it"))
    shared.add_config(parser)
    shared.add_verbosity(parser)
    parser.set_defaults(run=run, images=None)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.commands import recipes
    from caffe_gradcam.commands.describing import describe
    from caffe_gradcam.serve import running
    from caffe_gradcam.serve.answering import Answering
    from caffe_gradcam.serve.application import Service, application

    if not options.timeout > 0:
        raise QuestionError("--timeout must be greater than 0", "--timeout")
    recipes.check_one_device(options)
    recipe = recipes.from_options(options)
    recipes.save(recipe, options)
    model = recipes.load_model(recipe, options)
    answering = Answering(model, recipe.running, recipe.model.path)
    service = Service(answering, options.timeout)
    application(service)  # Whether its libraries are there.
    answering.prepare()
    token = running.token_for(options.host, options.token)
    if not options.quiet:
        print(describe(model), file=sys.stderr)
        query = f"?token={token}" if token else ""
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(f"open http://{host}:{options.port}/{query} in a browser; Ctrl-C ends the server",
              file=sys.stderr, flush=True)
    running.run(service, (options.host, options.port), token, frozenset(options.allow_host))
    return 0


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, not {text!r}")
    return int(text)
