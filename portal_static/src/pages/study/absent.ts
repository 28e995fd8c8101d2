/** Instead of a study that cannot be shown: what is wrong, and what to do about it. */

import { html, nothing, type TemplateResult } from "lit";

const ADVICE: Record<number, string> = {
  403: "Your role does not include reading studies. Sign out and in again as somebody who reads, or ask whoever looks after your access.",
  404: "No study of your clinics has this address: it may be of another clinic, or have been erased. Compare the eight characters of the handle; if they are right, ask whoever looks after your access.",
};

/** `status`: of the server's answer, 0 where there was none; `failure`: what it said. */
export function absent(
  token: string,
  status: number,
  failure: TemplateResult | typeof nothing,
  who: string,
  list: boolean,
): TemplateResult {
  const name = token.length === 8 ? html` <span class="handle">${token}</span>` : nothing;
  return html`<section class="sheet"><h1>Study${name} cannot be shown</h1>
    ${failure}${ADVICE[status] ? html`<p>${ADVICE[status]}</p>` : html`<p><a href=${location.pathname} target="_self">Try again</a></p>`}
    <p class="dim">You are signed in as ${who}.</p>
    ${list ? html`<p><a href="/">Back to the worklist</a></p>` : nothing}</section>`;
}
