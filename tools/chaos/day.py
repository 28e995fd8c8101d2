"""A chaotic day: clinics send, services have weather, the host and the job are killed; then it clears up."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from readfirst.local.stack import Stack
from readfirst.local.watching import look
from tools.chaos import skies, studies
from tools.chaos.judge import right
from tools.chaos.studies import Study, Upload

_SENDERS = 3
_SENDING = 0.7  # of the day, at most: the pauses between uploads
_KILLS_AFTER = (8.0, 30.0)  # seconds since the last one, or since the host was back
_VICTIMS = ("host", "job")
_QUICK_START = 5.0  # seconds of the host's start: where it takes longer, kills are as much rarer
_LONGEST = 5.0  # times its length that the weather waits for half of the studies
# Orchestrations try again after five minutes at most (orchestrations/blueprint.py): what has not changed for longer
# does not change any more.
_NOTHING_CHANGES = 400.0
_EVERY = 4.0  # each look lists what a study has left behind everywhere


@dataclass
class Day:
    """What was sent and done to the stack, and how long it took to be right again."""

    studies: list[Study]
    planted: dict[str, str]
    seed: int
    lasts: float
    most: float  # seconds after the weather: what is not right then is judged as it is
    say: Callable[[str], None] = lambda _: None
    kills: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    resent: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def live(self, stack: Stack) -> None:
        """Sends everything, in weather and among kills for as long as they last; then waits until all is right."""
        if stack.weather is None:
            raise TypeError("a chaotic day has weather")
        began = time.monotonic()
        stack.weather.begin(skies.forecast(self.seed, self.lasts))
        over = threading.Event()
        with ThreadPoolExecutor(_SENDERS + 1) as pool:
            killing = pool.submit(self._kill, stack, over)
            urls = studies.addresses(stack.ports.blob, stack.listening.blob)
            streams = enumerate(studies.streams(self.studies, _SENDERS))
            sending = [pool.submit(self._send, urls, place, list(stream)) for place, stream in streams]
            self._storm(began)
            over.set()
            killing.result()
            stack.weather.sky.clear()
            self.seconds["weather and kills"] = time.monotonic() - began
            self.say(f"it clears up after {self.seconds['weather and kills']:.0f} s, {self.kills.total()} kills")
            for one in sending:
                one.result()
            self.seconds["until everything was sent"] = time.monotonic() - began
        self._recover()

    def _storm(self, began: float) -> None:
        """Lasts its time, and until half of the studies are right in it: on a slow machine as much happens in it."""
        from readfirst.services import list_study

        while (gone := time.monotonic() - began) < _LONGEST * self.lasts:
            done = sum(not right(one.due, list_study.read(one.due.token)) for one in self.studies)
            if gone >= self.lasts and 2 * done >= len(self.studies):
                break
            time.sleep(_EVERY)

    def _send(self, urls: dict[str, str], place: int, stream: list[tuple[Study, Upload]]) -> None:
        rng = random.Random(f"{self.seed} sender {place}")
        pause = _SENDING * self.lasts / max(1, len(stream))
        for study, upload in stream:
            self.resent += studies.send_stubbornly(urls[study.due.clinic], study, upload)
            self.sent += len(upload.files)
            time.sleep(rng.uniform(0, pause))

    def _kill(self, stack: Stack, over: threading.Event) -> None:
        rng, slow = random.Random(f"{self.seed} killing"), 1.0
        while not over.wait(slow * rng.uniform(*_KILLS_AFTER)):
            victim = rng.choice(_VICTIMS)
            if victim == "job" and not stack.jobs_at_work():
                continue
            stack.kill(victim)
            self.kills[victim] += 1
            if victim == "host":
                began = time.monotonic()
                stack.restart("host")
                took = time.monotonic() - began
                slow = max(1.0, took / _QUICK_START)
                self.seconds["longest restart of the host"] = max(
                    took, self.seconds.get("longest restart of the host", 0.0)
                )

    def _recover(self) -> None:
        """Until each study is right, or nothing changes any more, or too long has passed."""
        began = changed = time.monotonic()
        before: object = None
        waiting = self.studies
        while waiting:
            seen = [(study, look(study.due.token)) for study in waiting]
            waiting = [study for study, progress in seen if right(study.due, progress.record)]
            now = [progress for _, progress in seen if progress.token in {s.due.token for s in waiting}]
            if now != before:
                before, changed = now, time.monotonic()
            if len(seen) != len(waiting):
                self.say(f"{len(self.studies) - len(waiting)} of {len(self.studies)} studies are right")
            if time.monotonic() - changed > _NOTHING_CHANGES or time.monotonic() - began > self.most:
                self.say(f"{len(waiting)} studies are not right, and nobody waits any longer")
                break
            time.sleep(_EVERY)
        self.seconds["after it, until every study was right"] = time.monotonic() - began


def prepare(
    folder: Path, seed: int, count: int, lasts: float, most: float, say: Callable[[str], None] = lambda _: None
) -> Day:
    """The day of a seed."""
    made, planted = studies.draw(folder, seed, count)
    return Day(made, planted, seed, lasts, most, say)
