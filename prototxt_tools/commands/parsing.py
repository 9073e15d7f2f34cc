"""The argument parser of both programs: help in two lengths, near names, shell completion."""

import argparse
import difflib
import shutil
from typing import Any, List, Optional, Sequence, Tuple

SHELLS = ("bash", "zsh", "tcsh")
_WIDEST = 98


class Rare(str):
    """The help of an option that only ``--help-all`` shows."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser without abbreviations, whose unknown options come with a suggestion.

    Parameters
    ----------
    details : str
        What ``--help-all`` shows at the end, besides the epilog.
    rest : str
        The destination of the arguments that stand behind options: a list, or a single value.
    **settings
        Of ``argparse.ArgumentParser``.
    """

    def __init__(self, *, details: str = "", rest: str = "", **settings: Any) -> None:
        settings.setdefault("allow_abbrev", False)
        settings.setdefault("formatter_class", _Formatter)
        super().__init__(**settings)
        self._details, self._rest = details, rest
        self._shows_all = False

    def add_help_all(self) -> None:
        """Add ``--help-all``, for a command that has rare options."""
        self.add_argument("--help-all", action=_HelpAll,
                          help="show this help with the rare options too")

    def show_all(self) -> None:
        """Let the help contain the rare options."""
        self._shows_all = True

    def format_help(self) -> str:
        """The help, of which options whose help is ``Rare`` are a part only after show_all."""
        if self._shows_all:
            epilog, self.epilog = self.epilog, "\n\n".join(
                text for text in (self.epilog, self._details) if text)
            try:
                return super().format_help()
            finally:
                self.epilog = epilog
        rare = [(action, action.help) for action in self._actions if isinstance(action.help, Rare)]
        for action, _ in rare:
            action.help = argparse.SUPPRESS
        try:
            return super().format_help()
        finally:
            for action, text in rare:
                action.help = text

    def parse_known_args(  # type: ignore[override]
            self, args: Optional[Sequence[str]] = None, namespace: Any = None
    ) -> Tuple[argparse.Namespace, List[str]]:
        """As in argparse, but arguments that no parser knows end the program here."""
        options, extras = super().parse_known_args(args, namespace)
        if extras and not (self._rest and self._take(options, extras)):
            self.error(self._unknown(extras))
        return options, []

    def _take(self, options: argparse.Namespace, extras: Sequence[str]) -> bool:
        """Add arguments to those of ``rest``; argparse takes none behind an option."""
        value = getattr(options, self._rest)
        if any(text.startswith("-") and text != "-" for text in extras):
            return False
        if isinstance(value, list):
            setattr(options, self._rest, value + list(extras))
        elif value is None and len(extras) == 1:
            setattr(options, self._rest, extras[0])
        else:
            return False
        return True

    def _unknown(self, extras: Sequence[str]) -> str:
        name = next((text for text in extras if text.startswith("-")), extras[0])
        name = name.partition("=")[0]
        if not name.startswith("-"):
            return f"there is an argument too many: {name}"
        options = [text for action in self._actions for text in action.option_strings]
        near = difflib.get_close_matches(name, options, 1, 0.6)
        if near:
            return f"there is no option {name}; did you mean {near[0]}?"
        return f"there is no option {name}; see " + (
            "--help-all" if "--help-all" in options else "--help")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal, but no wider than people read with ease."""

    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size().columns - 2, _WIDEST)
        super().__init__(prog, width=width)


class _HelpAll(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        if isinstance(parser, Parser):
            parser.show_all()
        parser.print_help()
        parser.exit()


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add ``--print-completion``, which prints a program's completions for a shell."""
    parser.add_argument("--print-completion", action=_PrintCompletion, choices=SHELLS,
                        help="print the completions for a shell; needs shtab")


class _PrintCompletion(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, **settings)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: Optional[str] = None) -> None:
        try:
            import shtab
        except ImportError:
            parser.exit(2, f"{parser.prog}: completions need shtab; run: pip install shtab\n")
        _complete_files(parser, shtab)
        print(shtab.complete(parser, values))
        parser.exit()


def _complete_files(parser: argparse.ArgumentParser, shtab: Any) -> None:
    """Let every argument whose value is the name of a file or folder complete to one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                _complete_files(child, shtab)
        elif action.choices is None and action.nargs != 0:
            name = str(action.metavar or action.dest).upper()
            if "DIR" in name or name == "OUT":
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
            elif not action.option_strings or "FILE" in name or "IMAGE" in name:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
