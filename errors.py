"""The one exception that stands for a mistake in what the user gave us."""


class InputError(Exception):
    """Bad input: the message is one sentence saying what was wrong, where, and how to mend it.

    The command line prints the message alone, without a traceback, and exits with status 2.
    """
