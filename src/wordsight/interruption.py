"""Ctrl-C. Imports next to nothing, so that it is there before everything else is."""

import signal
import sys

#: The exit status as a shell has it for programs that the signal SIGINT ended: 128 and the signal's number.
INTERRUPTED = 130


def interrupted() -> int:
    """Say that Ctrl-C ended the command; returns its exit status. A second Ctrl-C ends the process at once."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.stderr is not None:  # as it is where the caller closed it
        sys.stderr.write("wordsight: interrupted; what was stored by now stays, and the same command goes on from there\n")
    return INTERRUPTED
