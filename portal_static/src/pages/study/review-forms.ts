/** The forms in which a reader says something of a study, one at a time. */

import { html, nothing, type TemplateResult } from "lit";

import type { Finding, FindingAssessmentInput, MissedInput, ReviewEvent, ToldInput } from "../../../generated/api-types.js";
import { typed } from "../../form.js";
import { CATEGORY } from "../../format.js";

export type Form = "" | "missed" | "told" | "correct" | "reopen" | "comment";

/** What a form speaks of, and where it goes. */
export interface Entry {
  /** The chosen finding, for a correction. */
  finding: Finding | undefined;
  /** The slice that is looked at, for a finding that the AI missed. Undefined where there is no image. */
  place: Pick<MissedInput, "series_uid" | "sop_uid" | "slice"> | undefined;
  /** Appends to the review; `done` is said when it is kept. */
  say(what: ReviewEvent, done: string): void;
  tell(told: ToldInput): void;
  cancel(): void;
}

export function entryForm(kind: Form, entry: Entry): TemplateResult | typeof nothing {
  const { finding } = entry;
  switch (kind) {
    case "correct":
      return finding
        ? form(
            entry,
            `Correct: ${finding.concept.meaning}`,
            html`${size(finding.diameter_mm)}${category(finding.category)}${text("site", "Place", finding.site)}${COMMENT}`,
            (d) => correction(entry, finding, d),
          )
        : nothing;
    case "missed":
      return form(
        entry,
        `Finding that the AI missed, on slice ${(entry.place?.slice ?? 0) + 1}`,
        html`${text("what", "What it is", "", true)}${text("site", "Place")}${size()}${category(2)}${COMMENT}`,
        (d) => missed(entry, d),
      );
    case "told":
      return form(
        entry,
        "Who was notified",
        html`${text("who", "Who (role, never the patient)", "", true)}<label class="field"><span>How</span><select name="how"><option>telephone</option><option>in person</option><option>secure message</option></select></label>
        <label class="field"><span>When</span><input name="when" type="datetime-local" required .value=${localNow()} max=${localNow()} /></label>
        <label class="check"><input type="checkbox" name="read_back" />They read it back to me</label><label class="field wide"><span>Note</span><textarea name="note" maxlength="2000" rows="2"></textarea></label>`,
        (d) => entry.tell(toldOf(d)),
      );
    case "reopen":
      return form(
        entry,
        "Re-open the review",
        html`<label class="field wide"><span>Reason</span><textarea name="reason" required minlength="3" maxlength="2000" rows="2"></textarea></label>`,
        (d) => entry.say({ kind: "reopened", reason: typed(d, "reason") }, "Re-opened."),
      );
    case "comment":
      return form(
        entry,
        "Comment",
        html`<label class="field wide"><span>Text (do not name the patient)</span><textarea name="text" required maxlength="2000" rows="3"></textarea></label>`,
        (d) => entry.say({ kind: "commented", text: typed(d, "text") }, "Comment saved."),
      );
    default:
      return nothing;
  }
}

function form(entry: Entry, title: string, fields: TemplateResult, submit: (data: FormData) => void): TemplateResult {
  return html`<form class="entry" aria-label=${title} @submit=${(e: SubmitEvent) => {
    e.preventDefault();
    submit(new FormData(e.target as HTMLFormElement));
  }}>
    <h3>${title}</h3>${fields}<div class="row"><button class="primary">Save</button><button type="button" @click=${() => entry.cancel()}>Cancel</button></div></form>`;
}

const COMMENT = html`<label class="field wide"><span>Comment</span><textarea name="comment" maxlength="2000" rows="2"></textarea></label>`;

function category(chosen: number): TemplateResult {
  return html`<label class="field"><span>To be communicated</span><select name="category">${([1, 2, 3] as const).map((c) => html`<option value=${c} ?selected=${c === chosen}>${CATEGORY[c]}</option>`)}</select></label>`;
}

function size(mm?: number): TemplateResult {
  return html`<label class="field"><span>Diameter, mm</span><input name="diameter_mm" type="number" min="0.1" max="999" step="0.1" .value=${mm ? String(mm) : ""} /></label>`;
}

function text(name: string, title: string, value = "", required = false): TemplateResult {
  return html`<label class="field"><span>${title}</span><input name=${name} maxlength="200" .value=${value} ?required=${required} /></label>`;
}

function correction(entry: Entry, finding: Finding, data: FormData): void {
  const what: FindingAssessmentInput = {
    kind: "verdict",
    finding: finding.key,
    verdict: "correct",
    site: typed(data, "site"),
    comment: typed(data, "comment"),
    category: Number(data.get("category")) as 1 | 2 | 3,
  };
  if (data.get("diameter_mm")) what.diameter_mm = Number(data.get("diameter_mm"));
  entry.say(what, "Correction saved.");
}

function missed(entry: Entry, data: FormData): void {
  if (!entry.place) return;
  const what: MissedInput = {
    kind: "missed",
    what: typed(data, "what"),
    site: typed(data, "site"),
    category: Number(data.get("category")) as 1 | 2 | 3,
    comment: typed(data, "comment"),
    ...entry.place,
  };
  if (data.get("diameter_mm")) what.diameter_mm = Number(data.get("diameter_mm"));
  entry.say(what, "Finding added.");
}

function toldOf(data: FormData): ToldInput {
  return {
    kind: "told",
    who: typed(data, "who"),
    how: typed(data, "how") as ToldInput["how"],
    when: new Date(typed(data, "when")).toISOString(),
    read_back: data.has("read_back"),
    note: typed(data, "note"),
  };
}

/** This minute, as a field for date and time has it. */
function localNow(): string {
  const now = new Date();
  return new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
