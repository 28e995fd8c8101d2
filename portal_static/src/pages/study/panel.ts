/** The panel beside the images: what the AI says, what the readers said, and what is known of the study's way. */

import { html, nothing, type TemplateResult } from "lit";

import { studyPath } from "../../address.js";
import type { Accounting, Finding, FindingAssessment, ModelReading, PriorLine, StudyDetail } from "../../../generated/api-types.js";
import { CATEGORY, ago, clock, counted, dollars, exam, percent, seconds } from "../../format.js";
import { labelOf } from "../../study-line.js";
import { placed } from "./images.js";
import { measuredText } from "./report.js";

const STAGE: Record<string, string> = {
  receive: "Files arrived",
  settle: "Waited for the complete study",
  deidentify: "De-identified",
  analyse: "Analysed",
  report: "Reported",
  alert: "Alert handed over",
  return: "Results returned",
};

/** Codes of readfirst/domain/intake/person.py. */
const DISAGREE: Record<string, string> = {
  "patient-id": "the patient ID differs",
  "patient-id-missing": "the patient ID is missing in some",
  "patient-id-spelling": "the patient ID is written in several ways",
  issuer: "the issuer of the ID differs or is missing in some",
  name: "the name differs",
  "name-missing": "the name is missing in some",
  "birth-date": "the birth date differs",
  "birth-date-missing": "the birth date is missing in some",
  sex: "the sex differs",
};

/** What the list of findings needs of the page: what is chosen and hidden, and what a press does. */
export interface FindingsView {
  chosen: string;
  hidden: ReadonlySet<string>;
  reviewable: boolean;
  /** The slice with a finding's largest section, from 1. */
  sliceOf(finding: Finding): number;
  goTo(finding: Finding): void;
  judge(verdict: "accept" | "reject", key: string): void;
  correct(finding: Finding): void;
  picture(finding: Finding): void;
  hide(key: string, hide: boolean): void;
  copy(finding: Finding): void;
}

export function resultSection({ study, review }: StudyDetail): TemplateResult {
  const model = study.provenance?.model;
  return html`<section>
    <h2>AI result</h2>
    <p>${study.state === "analysing" ? html`<span class="dim">Nothing is known yet: read as usual. The result comes to this page by itself.</span>` : labelOf(study)}</p>
    ${study.why ? html`<p>${study.why}</p>` : nothing}
    ${study.reason ? html`<p>${study.reason}</p>` : nothing}
    ${study.label === "NOT ANALYSED: read as usual" ? nothing : html`<p class="risk"><span>Risk</span><meter min="0" max="1" low="0.3" high="0.6" .value=${study.risk} aria-label="Risk"></meter><b>${percent(study.risk)}</b></p>`}
    ${review.superseded ? html`<p class="notice urgent">A newer result came after the sign-off. Look again, please.</p>` : nothing}
    ${study.disagree?.length ? html`<p class="notice">The files of this study do not agree about the patient: ${study.disagree.map((what) => DISAGREE[what] ?? what).join(", ")}.</p>` : nothing}
    ${study.copies ? html`<p class="dim">${study.copies} ${study.copies === 1 ? "file" : "files"} came twice, identical: counted once.</p>` : nothing}
    ${study.part ? html`<p class="notice urgent">Read in part: ${study.part}. What was not read may hold findings.</p>` : study.partial ? html`<p class="notice">Some files of this study were refused: it is not complete.</p>` : nothing}
    ${study.accounting ? books(study.accounting) : nothing}
    ${study.models.length > 1 ? html`<h3>By model</h3><ul class="by-model">${study.models.map((one) => saidBy(one, study.by_model[one.model.name] ?? "failed"))}</ul>` : model ? html`<p class="dim"><a href="/about">${model.name} ${model.version}</a>: ${model.disclaimer}</p>` : nothing}
    ${notAsked(study.not_asked)}
  </section>`;
}

/** What one of several models says: its label, why, and what it did not read. */
function saidBy(one: ModelReading, label: StudyDetail["study"]["by_model"][string]): TemplateResult {
  const says = {
    "not flagged": "not flagged (does not exclude disease)",
    "read in part": "read in part",
    flagged: "flagged",
    failed: "no result: it failed",
    waiting: "at work",
    "out of scope": "not for this study",
  }[label];
  return html`<li class=${`says-${label.replaceAll(" ", "-")}`}>
    <p><a href="/about"><b>${one.model.name}</b> ${one.model.version}</a> · <span class="says">${says}${one.outcome === "analysed" ? html` · risk ${percent(one.risk)}` : nothing}</span></p>
    ${one.why ? html`<p>${one.why}</p>` : nothing}
    ${one.outcome !== "waiting" && one.reason ? html`<p>${one.reason}</p>` : nothing}
    ${one.part ? html`<p class="notice">Read in part: ${one.part}.</p>` : nothing}
    ${one.accounting && one.outcome === "analysed" ? html`<p class="dim">${counted(one.accounting.analysed, "frame")} analysed, ${one.accounting.read} of ${counted(one.accounting.received, "file")} read</p>` : nothing}
    <p class="dim">${one.model.disclaimer}${one.routed ? html`. Asked ${one.routed}.` : nothing}</p>
  </li>`;
}

/** The approved models that the study did not get. */
function notAsked(others: Record<string, string>): TemplateResult | typeof nothing {
  const each = Object.entries(others);
  if (!each.length) return nothing;
  return html`<details><summary>${counted(each.length, "model")} not asked</summary><ul class="plain">${each.map(([name, why]) => html`<li><b>${name}</b>: ${why}</li>`)}</ul></details>`;
}

/** What became of every file and frame: two sums, each with its reasons. */
function books(all: Accounting): TemplateResult {
  const row = (what: string, count: number): TemplateResult | typeof nothing =>
    count ? html`<div><dt>${what}</dt><dd>${count}</dd></div>` : nothing;
  const rows = (what: string, counts: Record<string, number>): (TemplateResult | typeof nothing)[] =>
    Object.entries(counts)
      .sort()
      .map(([reason, count]) => row(`${what}: ${reason.replaceAll("-", " ")}`, count));
  return html`<details class="books"><summary>${counted(all.received, "file")} received, ${all.read} read</summary>
    <dl class="facts">
      ${row("Files received", all.received)}${row("Read", all.read)}${rows("Left out", all.left_out)}${rows("Refused", all.refused)}${rows("Skipped", all.skipped)}${row("Identical copies", all.identical)}
      ${row("Frames in the files read", all.frames)}${row("Analysed", all.analysed)}${rows("Frames left out", all.frames_left_out)}
    </dl>
    ${all.unsaid.length ? html`<p class="dim">The header does not say: ${all.unsaid.join(", ")}. The pictures themselves had to decide.</p>` : nothing}
  </details>`;
}

export function findingsSection({ study, review }: StudyDetail, view: FindingsView): TemplateResult | typeof nothing {
  if (!study.findings.length) return nothing;
  return html`<section>
    <h2>Findings of the AI</h2>
    <ol class="findings">${study.findings.map((f) => findingCard(f, review.verdicts[f.key], view, study.models.length > 1 ? study.found_by[f.key] : ""))}</ol>
  </section>`;
}

/** `model`: whose finding it is, where the study has several. */
function findingCard(f: Finding, verdict: FindingAssessment | undefined, view: FindingsView, model = ""): TemplateResult {
  const chosen = f.key === view.chosen;
  const hidden = view.hidden.has(f.key);
  const [size, category] = [verdict?.diameter_mm ?? f.diameter_mm, verdict?.category ?? f.category];
  return html`<li class=${chosen ? "chosen" : ""}>
    <button class="title" aria-pressed=${chosen} @click=${() => view.goTo(f)}>${f.concept.meaning}<span class="dim">${verdict?.site || f.site}</span></button>
    <p>${size ? html`<b>${size.toFixed(1)} mm</b> · slice ${view.sliceOf(f)} · ` : nothing}${percent(f.probability)} · communicate ${CATEGORY[category]}${model ? html` · <span class="dim">${model}</span>` : nothing}</p>
    ${verdict ? html`<p class="verdict ${verdict.verdict}">${{ accept: "Accepted", reject: "Rejected", correct: "Corrected" }[verdict.verdict]}${verdict.comment ? html`: <q>${verdict.comment}</q>` : nothing}</p>` : nothing}
    <div class="row">
      ${
        view.reviewable
          ? html`<button @click=${() => view.judge("accept", f.key)}>Accept</button><button @click=${() => view.judge("reject", f.key)}>Reject</button>
      <button @click=${() => view.correct(f)}>Correct</button>`
          : nothing
      }
      ${f.overlay ? html`<button @click=${() => view.picture(f)}>Key image</button>` : nothing}
      <button class="quiet" @click=${() => view.copy(f)}>Copy text</button>
      ${placed(f) ? html`<label class="check"><input type="checkbox" .checked=${!hidden} @change=${() => view.hide(f.key, !hidden)} />Overlay</label>` : nothing}
    </div>
  </li>`;
}

export function missedSection({ review: { missed } }: StudyDetail): TemplateResult | typeof nothing {
  if (!missed.length) return nothing;
  return html`<section><h2>Added by the reader</h2><ol class="findings">${missed.map((m) => html`<li><b>${m.what}</b><p>${m.site} ${m.diameter_mm ? html`· ${m.diameter_mm} mm` : nothing} · slice ${m.slice + 1} · communicate ${CATEGORY[m.category]}</p>${m.comment ? html`<q>${m.comment}</q>` : nothing}</li>`)}</ol></section>`;
}

/** What was measured and saved, by whoever of the readers. */
export function measuredSection({ review: { measurements } }: StudyDetail): TemplateResult | typeof nothing {
  if (!measurements.length) return nothing;
  return html`<section><h2>Measured</h2><ul class="plain">${measurements.map((m) => html`<li>${measuredText(m)}</li>`)}</ul></section>`;
}

export function priorsSection(
  { priors }: StudyDetail,
  shown: PriorLine | undefined,
  beside: (prior: PriorLine | undefined) => void,
): TemplateResult | typeof nothing {
  if (!priors.length) return nothing;
  return html`<section><h2>Same patient</h2><ul class="plain">${priors.map(
    (
      p,
    ) => html`<li><a class="handle" href=${studyPath(p.handle)} target="_self">${p.handle}</a> ${exam(p)} <span class="dim">${ago(p.days)}</span>
    <button aria-pressed=${shown?.id === p.id} title="Compare with this one (b)" @click=${() => beside(shown?.id === p.id ? undefined : p)}>Compare</button></li>`,
  )}</ul></section>`;
}

export function communicationSection({ study, review, events }: StudyDetail): TemplateResult | typeof nothing {
  const comments = events.flatMap((e) => (e.what.kind === "commented" ? [{ ...e, text: e.what.text }] : []));
  if (!study.alerted && !review.told.length && !comments.length) return nothing;
  return html`<section><h2>Communication</h2><ul class="plain">
    ${study.alerted ? html`<li>Alert sent <span class="dim">${clock(study.alerted)}</span></li>` : nothing}
    ${review.told.map((t) => html`<li>${t.who} notified by ${t.how}${t.read_back ? ", read back" : ", not read back"} <span class="dim">${clock(t.when)}</span></li>`)}
    ${comments.map((e) => html`<li><q>${e.text}</q> <span class="dim">${e.by_name}, ${clock(e.at)}</span></li>`)}
  </ul></section>`;
}

export function timelineSection({ timeline }: StudyDetail): TemplateResult {
  return html`<section><h2>Timeline</h2><ol class="timeline">${timeline.map((step) => html`<li><span>${STAGE[step.what] ?? step.what}${step.by ? html` <span class="dim">${step.by}</span>` : nothing}</span><span class="dim">${step.seconds === null ? clock(step.at) : seconds(step.seconds)}</span></li>`)}</ol></section>`;
}

export function costs({ cost }: StudyDetail): TemplateResult {
  return html`<details><summary>Cost: about ${dollars(cost.usd)}</summary>
    <p class="dim small">An estimate: this study's files and the job's ${seconds(cost.job_seconds)}, at list prices of ${cost.prices}, profile ${cost.profile}. No bill.</p>
    <dl class="facts money">${cost.lines.slice(0, 6).map((line) => html`<div><dt>${line.what}</dt><dd>${dollars(line.usd)}</dd></div>`)}</dl></details>`;
}

/** `report`: the door to the study's de-identification report, for who may see it. */
export function provenance(
  { study: { provenance: made } }: StudyDetail,
  report: TemplateResult | typeof nothing,
): TemplateResult | typeof nothing {
  if (!made) return nothing;
  return html`<details><summary>Provenance</summary><dl class="facts">
    <div><dt>Readfirst</dt><dd>${made.readfirst}</dd></div><div><dt>De-identification</dt><dd>${made.profile}, engine ${made.engine}, table ${made.table}</dd></div>
    <div><dt>Model</dt><dd>${made.model ? html`${made.model.name} ${made.model.version} <code>${made.model.digest.slice(0, 16)}</code>` : "none"}</dd></div><div><dt>Run</dt><dd><code>${made.run_key.slice(0, 16)}</code></dd></div></dl>
    ${report}</details>`;
}
