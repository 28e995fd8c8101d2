/** The handle of a study: eight letters and digits that a clinic and a hospital can tell each other aloud. */

import { html, type TemplateResult } from "lit";

import { HANDLE_CHARACTERS } from "./address.js";
import { typed } from "./form.js";

const PATTERN = `\\s*[${HANDLE_CHARACTERS}${HANDLE_CHARACTERS.toLowerCase()}]{8}\\s*`;

/** The field of a form in which a person types a handle. */
export function handleField(name: string, words: string): TemplateResult {
  return html`<label class="field"><span>${words}</span><input name=${name} required pattern=${PATTERN} title="8 letters and digits" autocomplete="off" spellcheck="false" /></label>`;
}

/** The handle that a sent form holds, as it is stored. */
export function handleOf(form: FormData, name: string): string {
  return typed(form, name).trim().toUpperCase();
}
