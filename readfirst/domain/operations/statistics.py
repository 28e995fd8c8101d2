"""What operators and readers ask of the records: timelines, priors, and the figures of a period."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from statistics import median, quantiles
from typing import Any

from readfirst.domain.operations import costs
from readfirst.domain.operations.stages import STAGES
from readfirst.domain.reading.reviews import Event
from readfirst.domain.reading.study_record import StudyRecord

_SAID: dict[str, str] = {
    "opened": "Opened",
    "verdict": "Finding judged",
    "missed": "Finding added",
    "measured": "Measured",
    "commented": "Comment",
    "told": "Colleague notified",
    "signed": "Review signed",
    "reopened": "Review re-opened",
}


def timeline(record: StudyRecord, events: Iterable[Event]) -> list[dict[str, Any]]:
    """What happened to the study, oldest first: {at, what, by, seconds}."""
    steps: list[dict[str, Any]] = [{"at": record.received, "what": "Received", "by": "", "seconds": None}]
    if record.provenance:
        seconds = record.provenance.seconds
        steps += [
            {"at": "", "what": stage, "by": "", "seconds": seconds[stage]} for stage in STAGES if stage in seconds
        ]
    if record.alerted:
        steps.append({"at": record.alerted, "what": "Alert sent", "by": "", "seconds": None})
    said = [{"at": e.at, "what": _SAID[e.what.kind], "by": e.by_name, "seconds": None} for e in events]
    return steps + said


def prior(record: Mapping[str, Any], this: date | None, day: date | None) -> dict[str, Any]:
    """Another study of the same person: never a date, only how many days before (negative) or after it was made.

    The days are as de-identification shifted them, by one amount for all studies of a person; None where a profile
    removed them: when a study was uploaded says nothing of when it was made.
    """
    kept = ("id", "handle", "modality", "body_part", "label", "review", "instances")
    return {**{name: record[name] for name in kept}, "days": (day - this).days if this and day else None}


def models(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The models that made the records' results, most used first."""
    seen: dict[str, dict[str, Any]] = {}
    used: Counter[str] = Counter()
    for record in records:
        for model in _models_of(record):
            seen[model["digest"]] = model
            used[model["digest"]] += 1
    return [{**seen[digest], "studies": count} for digest, count in used.most_common()]


def cost(record: Mapping[str, Any], profile: costs.Profile) -> dict[str, Any]:
    """What a study cost: its counted files and measured seconds of the job, at list prices. No quote, no bill."""
    seconds = (record.get("provenance") or {}).get("seconds") or {}
    job = sum(float(taken) for stage, taken in seconds.items() if stage.startswith("job."))
    lines = costs.of_study(profile, int(record["instances"]), job, alerted=bool(record.get("alerted")))
    return {
        "usd": round(costs.total(lines), 5),
        "job_seconds": round(job, 1),
        "profile": profile,
        "prices": costs.as_of(),
        "lines": [{"what": line.what, "quantity": line.quantity, "per": line.per, "usd": line.usd} for line in lines],
    }


def _spend(studies: list[Mapping[str, Any]], profile: costs.Profile) -> dict[str, Any]:
    """What the studies of each day cost, and beside it what a month costs without any."""
    days: dict[str, float] = defaultdict(float)
    for study in studies:
        days[study["received"][:10]] += cost(study, profile)["usd"]
    return {
        "per_day": [{"day": day, "usd": round(usd, 4)} for day, usd in sorted(days.items())],
        "studies": round(sum(days.values()), 4),
        "fixed_a_month": round(costs.fixed(profile), 2),
        "profile": profile,
        "prices": costs.as_of(),
    }


def figures(records: Iterable[Mapping[str, Any]], now: str, profile: costs.Profile) -> dict[str, Any]:
    """Throughput per day, latency per stage, failures, reasons, waiting, spend, and the models' record per month."""
    studies = list(records)
    return {
        "spend": _spend(studies, profile),
        "studies": len(studies),
        "per_day": _per_day(studies),
        "states": dict(Counter(s["state"] for s in studies)),
        "labels": dict(Counter(s["label"] for s in studies if s["state"] != "analysing")),
        "stages": _stages(studies),
        "not_analysed": dict(Counter(code_of(s["reason"]) for s in studies if s.get("reason"))),
        "refused": _refused(studies),
        "alerts_not_sent": sum(1 for s in studies if alert_missing(s) or alert_undelivered(s)),
        "past_due": sum(1 for s in studies if s["review"] != "signed" and s["due"] < now),
        "models": _record_of_models(studies),
    }


def alert_missing(study: Mapping[str, Any]) -> bool:
    """Whether the study's first alert has not gone out yet, and nobody has read it meanwhile."""
    asks = study["high_risk"] and study["purpose"] == "current" and study["review"] != "signed"
    return bool(asks and not study.get("alerted"))


def alert_undelivered(study: Mapping[str, Any]) -> bool:
    """Whether no letter of the study's alert is known to have arrived, and nobody has opened the study meanwhile."""
    return bool(study.get("undelivered")) and study["review"] == "unread"


def _per_day(studies: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    days: dict[str, Counter[str]] = defaultdict(Counter)
    for study in studies:
        days[study["received"][:10]]["high_risk" if study["high_risk"] else "other"] += 1
    return [{"day": day, **{kind: days[day][kind] for kind in ("high_risk", "other")}} for day in sorted(days)]


def _stages(studies: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    seconds: dict[str, list[float]] = defaultdict(list)
    for study in studies:
        for stage, taken in ((study.get("provenance") or {}).get("seconds") or {}).items():
            seconds[stage].append(float(taken))
    return [
        {"stage": stage, "median": median(taken), "p95": _p95(taken), "count": len(taken)}
        for stage, taken in sorted(seconds.items(), key=lambda item: _stage_order(item[0]))
    ]


def _stage_order(stage: str) -> tuple[int, str]:
    return next((n for n, known in enumerate(STAGES) if known == stage), len(STAGES)), stage


def _p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def _refused(studies: list[Mapping[str, Any]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for study in studies:
        total.update(study.get("refused") or {})
    return dict(total)


def _models_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The models that gave the study a result, as the record has them."""
    readings = record.get("models") or ()
    if len(readings) > 1:
        return [one["model"] for one in readings if one["outcome"] == "analysed"]
    only = (record.get("provenance") or {}).get("model")
    return [only] if only else []


def _record_of_models(studies: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per model and month: findings confirmed and rejected, misses, minutes from receipt to sign-off."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for study in studies:
        for model in _models_of(study) if study.get("signed") else ():
            part = _part_of(study, model["name"])
            groups[f"{model['name']} {model['version']}", study["received"][:7]].append(part)
    return [_record_of_model(name, month, signed) for (name, month), signed in sorted(groups.items())]


def _part_of(study: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """A study as one of its models is judged by it: where it has several, by the verdicts on that model's findings.

    Which of them should have made a finding that the reader added is not known: it counts for the first, as in its
    report.
    """
    names = [one["model"]["name"] for one in study.get("models") or ()]
    if len(names) < 2:
        return study
    first = model == names[0]
    judged = (study.get("judged") or {}).items()
    verdicts = Counter(said for key, said in judged if ("." not in key if first else key.startswith(f"{model}.")))
    return {**study, "verdicts": verdicts, "missed": study.get("missed") if first else 0}


def _record_of_model(name: str, month: str, signed: list[Mapping[str, Any]]) -> dict[str, Any]:
    verdicts: Counter[str] = Counter()
    for study in signed:
        verdicts.update(study.get("verdicts") or {})
    confirmed = verdicts["accept"] + verdicts["correct"]
    judged = confirmed + verdicts["reject"]
    minutes = [(_moment(s["signed"]) - _moment(s["received"])).total_seconds() / 60 for s in signed]
    return {
        "model": name,
        "month": month,
        "signed": len(signed),
        "confirmed": confirmed,
        "rejected": verdicts["reject"],
        "positive_predictive_value": round(confirmed / judged, 3) if judged else None,
        "missed": sum(int(s.get("missed") or 0) for s in signed),
        "minutes_to_review": round(median(minutes), 1),
    }


def code_of(reason: str) -> str:
    """The code that begins a record's reason."""
    return reason.split(":", maxsplit=1)[0].split(" ", maxsplit=1)[0]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
