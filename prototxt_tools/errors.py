"""Bad input, said in one sentence."""


class InputError(Exception):
    """What a user gave cannot be used; the message is one sentence that says what to do."""


# A name or a number may fill a file.
_LONGEST = 1000


class PrototxtError(InputError):
    """A prototxt that cannot be understood, with the place where.

    Parameters
    ----------
    problem : str
        What is wrong there.
    path : str or None
        The file; ``<prototxt>`` in the message when it is not known.
    line, column : int or None
        Counted from 1; the column counts characters.
    """

    def __init__(self, problem, path=None, line=None, column=None):
        place = str(path) if path is not None else "<prototxt>"
        if line is not None:
            place += f":{line}:{column}"
        if len(problem) > _LONGEST:
            problem = problem[: _LONGEST // 2] + " ... " + problem[-_LONGEST // 2 :]
        super().__init__(f"{place}: {problem}")
        self.problem = problem
        self.path = path
        self.line = line
        self.column = column
