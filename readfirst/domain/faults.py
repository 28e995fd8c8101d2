"""The faults that we know: one family of exceptions, whose text is written for a person.

Bad input is not one of them: it is a value (refusals.py). A fault says what is wrong and what to do, without an
identifier and without the content of a file. Two places turn it into something else: the command line prints it and
ends with its exit code (readfirst/cli/__init__.py); a caller of the API gets a reference number instead, and the log
the fault (function_app/http/guard.py). What a trigger or an activity raises is tried again by its policy.
"""

from __future__ import annotations


class Fault(Exception):
    """Something that must not be, said in a sentence for people."""

    exit_code = 1  # of the command that it ends


class WrongCall(Fault):
    """A fault of how a command was called or set up, which another call mends."""

    exit_code = 2
