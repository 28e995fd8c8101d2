"""Who may do what: the one table that the routes, the OpenAPI document, the documentation and the tests come from.

A person has roles and a set of clinics. A rule names one route, the roles that may call it, and what of it the
person's clinics decide. What is not in the table cannot be called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from readfirst.domain.addresses import API


class Role(StrEnum):
    """The values of the Entra app roles."""

    CLINICIAN = "clinician"
    RADIOLOGIST = "radiologist"
    PRIVACY = "privacy-officer"
    OPERATOR = "operator"
    CLINIC_USER = "clinic-user"


_CARE = (Role.CLINICIAN, Role.RADIOLOGIST)
_EVERYONE = tuple(Role)

App = Literal["api", "identity"]
# What the clinics decide: `study`: the study's clinic must be one of the person's, or the study does not exist
# for them (404, never 403: its existence is a fact too). `lists`: only the person's clinics appear. `none`: the
# answer holds nothing of a clinic. `any-study`: every clinic's, because the rule is about reaching across.
Scope = Literal["study", "lists", "none", "any-study"]


@dataclass(frozen=True)
class Rule:
    """One route and who may call it. `route` is relative to the API's address; `why` is the reason for its roles."""

    name: str
    method: Literal["GET", "POST"]
    route: str
    app: App
    roles: tuple[Role, ...]
    scope: Scope
    summary: str
    why: str

    @property
    def address(self) -> str:
        """The route with the API's address before it."""
        return f"{API}/{self.route}"

    @property
    def anonymous(self) -> bool:
        """Whether it answers without a token."""
        return not self.roles


def _api(
    name: str, method: Literal["GET", "POST"], route: str, roles: tuple[Role, ...], scope: Scope, summary: str, why: str
) -> Rule:
    return Rule(name, method, route, "api", roles, scope, summary, why)


def _identity(
    name: str, method: Literal["GET", "POST"], route: str, roles: tuple[Role, ...], scope: Scope, summary: str, why: str
) -> Rule:
    return Rule(name, method, route, "identity", roles, scope, summary, why)


_READ = "Clean images and results are for care; nobody else needs them."
_QUARANTINED = "A picture kept back may show a name: only who answers for privacy looks and decides."
_INBOX = "What a clinic sent is the business of that clinic's users, and file names are the clinic's own words."

_TWO = "Who runs it and who reads with it answer for what runs, and it takes two of them, for every clinic."
_ANSWERS_FOR_MODELS = (Role.RADIOLOGIST, Role.OPERATOR)

RULES: tuple[Rule, ...] = (
    _api("api_description", "GET", "openapi.json", (), "none", "This API's OpenAPI document", "It holds no data."),
    _api("me", "GET", "me", _EVERYONE, "none", "Who I am here: roles and clinics", "Everyone may know themselves."),
    _api("studies", "GET", "studies", _CARE, "lists", "The worklist, in reading order", _READ),
    _api("study", "GET", "studies/{token}", _CARE, "study", "One study with its result and review", _READ),
    _api("study_images", "GET", "studies/{token}/images", _CARE, "study", "Where each image's bytes are", _READ),
    _api("study_key_image", "GET", "studies/{token}/key-image", _CARE, "study", "One image as PNG, at once", _READ),
    _api("study_overlay", "GET", "studies/{token}/overlays/{finding}", _CARE, "study", "A finding's overlay", _READ),
    _api("study_masks", "GET", "studies/{token}/masks", _CARE, "study", "The segmented pixels of each finding", _READ),
    _api("study_privacy", "GET", "studies/{token}/privacy", (*_CARE, Role.PRIVACY), "study",
         "The de-identification report", "Who reads may know what was removed; who answers for privacy must."),
    _api("study_review", "POST", "studies/{token}/review", (Role.RADIOLOGIST,), "study",
         "Append to the review (If-Match)", "A radiologist answers for what is accepted, corrected or added."),
    _api("study_reading", "POST", "studies/{token}/reading", (Role.RADIOLOGIST,), "study",
         "Say that I am reading it, and see who else is", "Two readers of one study should know of each other."),
    _api("study_told", "POST", "studies/{token}/told", _CARE, "study",
         "Record who was notified, when, how, and the read-back", "Who makes the call records it."),
    _api("study_replay", "POST", "studies/{token}/replay", (Role.OPERATOR,), "any-study",
         "Run a failed study again", "Repair is operation; it shows nothing of the study."),
    _api("study_cancel", "POST", "studies/{token}/cancel", (Role.OPERATOR,), "any-study",
         "Stop what a study is doing", "Repair is operation; it shows nothing of the study."),
    _api("models", "GET", "models", _EVERYONE, "none", "The models in use and what they are for", "No data."),
    _api("audit", "GET", "audit", (Role.PRIVACY,), "lists", "The audit log of a day, with its check",
         "Only who answers for privacy watches the watchers."),
    _api("ops", "GET", "ops", (Role.OPERATOR, Role.RADIOLOGIST), "lists",
         "Throughput, latency, failures, spend, and the model's record",
         "Operators run it; radiologists must see how often the model is right."),
    _api("failures", "GET", "failures", (Role.OPERATOR,), "lists",
         "What went wrong and is not over, with what to do", "Who repairs must see what is broken, and nothing else."),
    _api("dicomweb_studies", "GET", "dicomweb/studies", _CARE, "lists", "QIDO-RS: studies", _READ),
    _api("dicomweb_series", "GET", "dicomweb/studies/{study}/series", _CARE, "study", "QIDO-RS: series", _READ),
    _api("dicomweb_study_instances", "GET", "dicomweb/studies/{study}/instances", _CARE, "study",
         "QIDO-RS: instances of a study", _READ),
    _api("dicomweb_series_instances", "GET", "dicomweb/studies/{study}/series/{series}/instances", _CARE, "study",
         "QIDO-RS: instances of a series", _READ),
    _api("dicomweb_study_metadata", "GET", "dicomweb/studies/{study}/metadata", _CARE, "study",
         "WADO-RS: metadata of a study", _READ),
    _api("dicomweb_series_metadata", "GET", "dicomweb/studies/{study}/series/{series}/metadata", _CARE, "study",
         "WADO-RS: metadata of a series", _READ),
    _api("dicomweb_instance_metadata", "GET",
         "dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata", _CARE, "study",
         "WADO-RS: metadata of an instance", _READ),
    _api("dicomweb_study", "GET", "dicomweb/studies/{study}", _CARE, "study",
         "WADO-RS: all instances of a study", _READ),
    _api("dicomweb_one_series", "GET", "dicomweb/studies/{study}/series/{series}", _CARE, "study",
         "WADO-RS: all instances of a series", _READ),
    _api("dicomweb_instance", "GET", "dicomweb/studies/{study}/series/{series}/instances/{instance}", _CARE, "study",
         "WADO-RS: an instance", _READ),
    _api("dicomweb_frames", "GET",
         "dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}", _CARE, "study",
         "WADO-RS: frames", _READ),
    _api("dicomweb_rendered", "GET",
         "dicomweb/studies/{study}/series/{series}/instances/{instance}/rendered", _CARE, "study",
         "WADO-RS: an instance as a picture", _READ),
    _api("dicomweb_bulkdata", "GET",
         "dicomweb/studies/{study}/series/{series}/instances/{instance}/frames", _CARE, "study",
         "WADO-RS: the pixels as the metadata names them", _READ),
    _api("dicomweb_frame_rendered", "GET",
         "dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered", _CARE, "study",
         "WADO-RS: a frame as a picture", _READ),
    _api("dicomweb_study_thumbnail", "GET", "dicomweb/studies/{study}/thumbnail", _CARE, "study",
         "WADO-RS: a small picture of a study", _READ),
    _api("dicomweb_series_thumbnail", "GET", "dicomweb/studies/{study}/series/{series}/thumbnail", _CARE, "study",
         "WADO-RS: a small picture of a series", _READ),
    _api("dicomweb_instance_thumbnail", "GET",
         "dicomweb/studies/{study}/series/{series}/instances/{instance}/thumbnail", _CARE, "study",
         "WADO-RS: a small picture of an instance", _READ),
    _identity("treatment", "POST", "identity/treatment/{token}", (Role.CLINICIAN,), "study",
              "Door (a): the uploading clinic's clinicians see whose study it is",
              "Who treats must know whom; without approval, because care does not wait."),
    _identity("break_glass", "POST", "identity/break-glass/{token}", _CARE, "any-study",
              "Door (b): at once, with a reason, reviewed afterwards",
              "An emergency knows no clinic; the privacy officer reviews every use."),
    _identity("break_glass_list", "GET", "identity/break-glass", (Role.PRIVACY,), "lists",
              "Uses of break-glass, overdue reviews first", "Review is the privacy officer's duty."),
    _identity("break_glass_review", "POST", "identity/break-glass/{use}/review", (Role.PRIVACY,), "lists",
              "Close the review of one use", "Review is the privacy officer's duty."),
    _identity("request_identity", "POST", "identity/requests/{token}", (Role.RADIOLOGIST, Role.CLINICIAN,
              Role.OPERATOR, Role.PRIVACY), "any-study", "Door (c): ask for an identity for non-care use",
              "Anyone who may have a lawful purpose may ask; asking shows nothing."),
    _identity("requests", "GET", "identity/requests", (Role.RADIOLOGIST, Role.CLINICIAN, Role.OPERATOR,
              Role.PRIVACY), "lists", "My requests; all of them for the privacy officer",
              "Who asked sees the answer; who decides sees the question."),
    _identity("request_decision", "POST", "identity/requests/{request}/decision", (Role.PRIVACY,), "lists",
              "Approve or decline another person's request", "Two people: nobody approves their own request."),
    _identity("request_open", "POST", "identity/requests/{request}/open", (Role.RADIOLOGIST, Role.CLINICIAN,
              Role.OPERATOR, Role.PRIVACY), "none", "See the identity of my approved request",
              "Only who asked, only once approved, only for minutes."),
    _identity("erase", "POST", "identity/erasures/{token}", (Role.PRIVACY,), "any-study",
              "Erase a study, or all studies of its patient, for good",
              "Who answers for privacy answers a person's right to be forgotten."),
    _identity("merge", "POST", "identity/merges/{token}", (Role.PRIVACY,), "study",
              "Say that two patients of a clinic are one person, or undo that",
              "It joins what two identifiers kept apart: who answers for privacy decides, with a reason."),
    _identity("quarantine", "GET", "quarantine", (Role.PRIVACY,), "lists", "Files kept back, and why", _QUARANTINED),
    _identity("quarantine_picture", "GET", "quarantine/{item}/picture", (Role.PRIVACY,), "lists",
              "One frame of a file kept back", _QUARANTINED),
    _identity("quarantine_texts", "GET", "quarantine/{item}/texts", (Role.PRIVACY,), "lists",
              "Where the picture shows text", _QUARANTINED),
    _identity("quarantine_persons", "GET", "quarantine/{item}/persons", (Role.PRIVACY,), "lists",
              "Whom the files of a study name, where they name several persons", _QUARANTINED),
    _identity("quarantine_decision", "POST", "quarantine/{item}/decision", (Role.PRIVACY,), "lists",
              "Release or reject a file kept back", _QUARANTINED),
    _identity("model_changes", "GET", "identity/model-changes", (Role.RADIOLOGIST, Role.OPERATOR, Role.PRIVACY), "none",
              "Which models run, what is proposed, and who changed it", "It holds nothing of a study."),
    _identity("model_change_propose", "POST", "identity/model-changes", _ANSWERS_FOR_MODELS, "none",
              "Propose to activate, deactivate or go back, or another table of routes", _TWO),
    _identity("model_change_decide", "POST", "identity/model-changes/{change}/decision", _ANSWERS_FOR_MODELS, "none",
              "Confirm or decline another person's proposal", _TWO),
    _identity("uploads", "GET", "uploads", (Role.CLINIC_USER,), "lists", "What arrived and what was refused", _INBOX),
    _identity("refused", "GET", "uploads/refused", (Role.OPERATOR, Role.RADIOLOGIST), "lists",
              "How many files of no study were refused, by reason",
              "Figures only: who runs it must see what does not get in."),
    _identity("upload_address", "POST", "uploads/address", (Role.CLINIC_USER,), "lists",
              "A create-only address to upload to", _INBOX),
)  # fmt: skip


class Grant(BaseModel):
    """What membership of one Entra group gives: roles, and clinics (`*`: every clinic)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    roles: tuple[Role, ...] = ()
    clinics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Person:
    """Who calls. `id` is the directory's object id; `name` is shown to colleagues and kept out of logs."""

    id: str
    name: str
    roles: frozenset[Role]
    clinics: frozenset[str] = field(default_factory=frozenset)
    groups_left_out: bool = False  # the directory has not said the person's groups: roles and clinics are not known

    def may(self, rule: Rule) -> bool:
        """Whether one of the person's roles is in the rule. Nobody may anything whose groups are not known."""
        return rule.anonymous or (not self.groups_left_out and bool(self.roles & set(rule.roles)))

    def sees(self, clinic: str) -> bool:
        """Whether the clinic is one of the person's."""
        return clinic in self.clinics


def person_from(claims: Mapping[str, object], grants: Iterable[Grant], clinics: Iterable[str]) -> Person:
    """The person of a validated token. Roles come from app roles and groups, clinics from groups alone.

    Unknown roles and clinics that are not in the clinic list give nothing.
    """
    groups = set(_strings(claims.get("groups")))
    held = [grant for grant in grants if grant.group in groups]
    known = frozenset(clinics)
    roles = {Role(r) for r in _strings(claims.get("roles")) if r in set(Role)}
    roles |= {role for grant in held for role in grant.roles}
    named = {clinic for grant in held for clinic in grant.clinics}
    return Person(
        id=str(claims.get("oid") or claims["sub"]),
        name=str(claims.get("name") or claims.get("preferred_username") or "unnamed")[:120],
        roles=frozenset(roles),
        clinics=known if "*" in named else known & named,
        groups_left_out=groups_left_out(claims),
    )


def groups_left_out(claims: Mapping[str, object]) -> bool:
    """Whether the token names a place to ask for the groups instead of the groups: Entra ID does so above 200.

    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference#groups-overage-claim
    """
    if isinstance(claims.get("groups"), (list, tuple)):
        return False
    elsewhere = claims.get("_claim_names")
    said = str(claims.get("hasgroups", "")).lower() in ("true", "1")
    named = isinstance(elsewhere, Mapping) and "groups" in elsewhere
    # Some issuers write the place into the claim itself, as its value or behind its name (`groups:src1`).
    return said or named or any(name == "groups" or name.startswith("groups:") for name in claims)


def default_grants(clinics: Iterable[str]) -> tuple[Grant, ...]:
    """The grants where none are configured: group `clinic-{id}` gives that clinic, group `clinics` gives all."""
    return (Grant(group="clinics", clinics=("*",)), *(Grant(group=f"clinic-{c}", clinics=(c,)) for c in clinics))


def _strings(value: object) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, (list, tuple)) else []
