/** The sign-off asks: what will be signed, and what becomes of measurements that are drawn and not saved. */

import { html, nothing, type TemplateResult } from "lit";

import type { StudyDetail } from "../../../generated/api-types.js";
import { labelOf } from "../../study-line.js";
import type { Drawn } from "../../viewer/viewer.js";

/** What becomes of the measurements that are not saved. */
export type Unsaved = "save" | "discard";

const VERDICT = { accept: "accepted", reject: "rejected", correct: "corrected" };

export function signTitle({ study }: StudyDetail): string {
  return study.label === "NOT ANALYSED: read as usual" ? "Sign off without an AI result" : "Sign off the AI result";
}

export function signDialog(
  detail: StudyDetail,
  drawn: Drawn[],
  problem: TemplateResult | typeof nothing,
  sign: (unsaved: Unsaved | null) => void,
  closed: () => void,
): TemplateResult {
  const { study, review } = detail;
  const open = study.findings.filter((f) => !review.verdicts[f.key]).length;
  return html`<dialog id="signing" aria-labelledby="signing-title" @close=${closed}>
    <h2 id="signing-title">${signTitle(detail)}: ${study.handle}</h2>
    ${problem}
    <p>${labelOf(study)}</p>
    <ul class="plain">
      ${study.findings.map((f) => {
        const verdict = review.verdicts[f.key];
        return html`<li>${f.concept.meaning}${f.site ? `, ${verdict?.site || f.site}` : ""}: ${verdict ? html`<b>${VERDICT[verdict.verdict]}</b>` : html`<b class="overdue">no verdict yet</b>`}</li>`;
      })}
      ${review.missed.map((m) => html`<li>${m.what}, slice ${m.slice + 1}: <b>added by you or a colleague</b></li>`)}
      ${review.measurements.length ? html`<li>Saved measurements: <b>${review.measurements.length}</b></li>` : nothing}
    </ul>
    ${open ? html`<p class="notice urgent">Accept, reject or correct every finding first.</p>` : nothing}
    <form @submit=${(e: SubmitEvent) => {
      e.preventDefault();
      sign(new FormData(e.target as HTMLFormElement).get("unsaved") as Unsaved | null);
    }}>
      ${drawn.length ? unsaved(drawn) : nothing}
      <p class="dim small">This reviews the AI result. It is not the radiology report.</p>
      <div class="row"><button class="primary" ?disabled=${open > 0} ?autofocus=${!drawn.length}>Sign</button>
        <button type="button" ?autofocus=${open > 0} @click=${(e: Event) => (e.target as HTMLElement).closest("dialog")!.close()}>Cancel</button></div>
    </form>
  </dialog>`;
}

function unsaved(drawn: Drawn[]): TemplateResult {
  const lost = drawn.filter((d) => !d.measured).length;
  return html`<fieldset><legend>${drawn.length === 1 ? "1 measurement is" : `${drawn.length} measurements are`} drawn and not saved</legend>
    ${lost < drawn.length ? html`<label class="check"><input type="radio" name="unsaved" value="save" required />Save ${drawn.length === 1 ? "it" : "them"} and sign</label>` : nothing}
    <label class="check"><input type="radio" name="unsaved" value="discard" required />Discard ${drawn.length === 1 ? "it" : "them"} and sign</label>
    ${lost ? html`<p class="dim small">${lost} cannot be saved: the image has no single scale that holds for all of its pixels.</p>` : nothing}
  </fieldset>`;
}
