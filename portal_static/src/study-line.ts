/** What a line of the worklist and a study's heading both show of a study. */

import { html, nothing, type TemplateResult } from "lit";

import type { ProgressView, StudyLine } from "../generated/api-types.js";
import { interval, percent } from "./format.js";

/** What the AI says of a study, word for word. */
export type Label = StudyLine["label"];

/** How often a list, or a study under analysis, is asked for again. */
export const POLL_MS = 10_000;

const MARKS: Record<Label, [string, string]> = {
  flagged: ["flagged", "▲"],
  "not flagged by AI (does not exclude disease)": ["unflagged", "–"],
  "READ IN PART: read as usual": ["unanalysed", "◐"],
  "NOT ANALYSED: read as usual": ["unanalysed", "◇"],
};

/** The label exactly as the reader must see it, with a shape beside it for those who do not see colours. */
export function labelOf(study: { label: Label; high_risk: boolean }): TemplateResult {
  const [kind, mark] = MARKS[study.label] ?? MARKS["NOT ANALYSED: read as usual"];
  return html`<span class="label ${kind} ${study.high_risk ? "high" : ""}"><span aria-hidden="true">${mark}</span> ${study.label}</span>`;
}

/** Whether one of the study's models has not answered yet, while others have. */
export function unanswered(study: { by_model: StudyLine["by_model"] }): boolean {
  return Object.values(study.by_model).includes("waiting");
}

/** What each model says, where a study has several. */
export function modelsOf(study: { by_model: StudyLine["by_model"] }): TemplateResult | typeof nothing {
  const said = Object.entries(study.by_model);
  return said.length < 2
    ? nothing
    : html`<ul class="models">${said.map(([name, says]) => html`<li class=${`says-${says.replaceAll(" ", "-")}`}><span>${name}</span> ${says}</li>`)}</ul>`;
}

const STAGES: Record<ProgressView["stage"], string> = {
  waiting: "Waiting for the analysis",
  download: "Fetching the images",
  decode: "Reading the images",
  infer: "Looking for findings",
  write: "Writing the result",
  done: "Filing the result",
};

/** The label, or how far the analysis is that will bring one; both where a study that has a result is analysed anew. */
export function resultOf(study: { label: Label; high_risk: boolean; state: string }, progress: ProgressView | null): TemplateResult {
  if (!progress) return labelOf(study);
  const [stage, share] = [STAGES[progress.stage], Math.round(progress.share * 100)];
  const known = progress.stage !== "waiting";
  const bar = html`<span class="analysis ${known ? "" : "idle"}"><span>${stage}${known ? html` <span class="dim">${percent(progress.share)}</span>` : nothing}</span>
    <span class="gauge" role="progressbar" aria-label="Analysis" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${known ? share : nothing}
      aria-valuetext=${known ? `${stage}, ${share} %` : stage}><i .style=${`width: ${share}%`}></i></span></span>`;
  return study.state === "analysing" ? bar : html`${labelOf(study)} ${bar}`;
}

/** How long it has waited against its target, with a bar that fills until it is due. */
export function waiting(study: { received: string; due: string }, review: string, now: number): TemplateResult {
  if (review === "signed") return html`<span class="dim">waits no more</span>`;
  const [from, until] = [Date.parse(study.received), Date.parse(study.due)];
  const left = until - now;
  const share = Math.min(1, Math.max(0, (now - from) / Math.max(1, until - from)));
  const text = left >= 0 ? `due in ${interval(left)}` : `due ${interval(left)} ago`;
  return html`<span class="waiting ${left < 0 ? "over" : share > 0.75 ? "near" : ""}">
    <span>${interval(now - from)}</span><meter min="0" max="1" .value=${share} aria-label="Share of the waiting time that is used"></meter><span class="dim">${text}</span></span>`;
}
