"""Uploads that could not be taken: how often that is tried, and when one is set aside so that nothing waits for it."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

TRIES = 3  # the reconciler's, a quarter of an hour apart
LONGEST = timedelta(days=1)  # whatever the cause: the longest that its sender hears nothing
AGAIN = timedelta(days=1)  # what is set aside where it lies is tried again, in case somebody has mended it


class Stuck(BaseModel):
    """What is noted of one upload (one version of one blob) that was tried and is not taken yet."""

    model_config = ConfigDict(frozen=True)

    since: datetime
    last: datetime
    tries: int = 0
    why: str = ""  # an error's code or class: never its text
    aside: bool = False  # it stays in the inbox because it could not even be moved

    def tried(self, now: datetime) -> Stuck:
        """One try more. It is noted before the try: a file that ends the process counts too."""
        return self.model_copy(update={"tries": self.tries + 1, "last": now})

    def failed(self, why: str, *, own: bool) -> Stuck:
        """The try has failed, by the upload's `own` fault or by a service's, which does not count as a try."""
        return self.model_copy(update={"why": why, "tries": self.tries if own else self.tries - 1})

    def left(self, now: datetime) -> Stuck:
        """It is set aside where it lies."""
        return self.model_copy(update={"aside": True, "last": now})

    def rests(self, now: datetime) -> bool:
        """Whether it is left alone for now."""
        return self.aside and now - self.last < AGAIN

    def hopeless(self, now: datetime) -> bool:
        """Whether it is to be set aside rather than tried again."""
        return self.tries >= TRIES or now - self.since >= LONGEST


def own_fault(status: int | None) -> bool:
    """Whether a failure counts against the upload. `status`: the HTTP status that storage answered, if it was that.

    A service that is away, throttles, or has lost a role assignment says nothing about the upload; nor does an answer
    that began well and broke off, which has no status or that of success.
    """
    return status is not None and 400 <= status < 500 and status not in (401, 403, 404, 408, 429)
