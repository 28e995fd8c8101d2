"""`make chaos`: lives a chaotic day for each seed, judges it, and prints what was injected and survived.

usage: python -m tools.chaos [--seed 1,2,3] [--studies 12] [--seconds-a-study 8] [--most 1200] [--keep FOLDER]
Ends with 1 if anything does not hold. --keep leaves each day's stack state in FOLDER/seed-N, for a look at its logs.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from readfirst.local.environment import settings_of
from readfirst.local.stack import Stack
from readfirst.local.weather.forecast import Forecast
from tools.chaos.day import Day, prepare
from tools.chaos.evidence import gather
from tools.chaos.judge import judge
from tools.chaos.table import print_day

# The product's own settings: a day's waits in minutes. Nobody acknowledges here, and a day may last longer than the
# half hour after which that has a second e-mail sent.
SETTINGS = {
    "SETTLE_SECONDS": "4",
    "INFERENCE_LOOK_SECONDS": "4",
    "INFERENCE_STALL_MINUTES": "1",
    "ESCALATE_MINUTES": "600",
    "RECONCILE_SCHEDULE": "*/5 * * * * *",
    "RECONCILE_AGE_SECONDS": "5",
}


def main() -> int:
    """Lives the days, one after the other."""
    logging.getLogger().addHandler(logging.NullHandler())  # the senders' SDK warns of what the weather does to it
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("--seed", default="1", help="one or several, separated by commas")
    parser.add_argument("--studies", type=int, default=12)
    parser.add_argument("--seconds-a-study", type=float, default=8.0, help="how long weather and kills last")
    parser.add_argument("--most", type=float, default=1200.0, help="seconds after the weather until all is judged")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    holds = True
    for seed in (int(one) for one in given.seed.split(",")):
        with tempfile.TemporaryDirectory(prefix="readfirst-chaos-") as folder:
            work = given.keep / f"seed-{seed}" if given.keep else Path(folder)
            holds &= _lived(work, seed, given)
    return int(not holds)


def _lived(work: Path, seed: int, given: argparse.Namespace) -> bool:
    lasts = given.seconds_a_study * given.studies
    with Stack(work / "state", "auto", settings=SETTINGS, forecast=Forecast()) as stack:
        began = time.monotonic()

        def say(line: str) -> None:
            sys.stderr.write(f"seed {seed}, {time.monotonic() - began:5.0f} s: {line}\n")

        with settings_of({**stack.environment, **stack.sheltered()}):
            day: Day = prepare(work / "studies", seed, given.studies, lasts, given.most, say)
            say(f"{given.studies} studies are made")
            day.live(stack)
            verdict = judge(due := [study.due for study in day.studies], gather(stack, due, day.planted))
        if stack.weather:
            print_day(day, stack.weather.sky, verdict)
    return not any(verdict.values())


if __name__ == "__main__":
    sys.exit(main())
