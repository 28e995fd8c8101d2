/** A person's right to be forgotten: a study, or all studies of its patient, erased for good. */

import { html, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import type { Erasing } from "../../generated/api-types.js";
import { typed } from "../form.js";
import { handleField, handleOf } from "../handle.js";
import { Page } from "../page.js";

@customElement("rf-erasure")
export class Erasure extends Page {
  @state() private handles: string[] | undefined;

  private async erase(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const given = new FormData(form);
    await this.attempt(async () => {
      const body = { reason: typed(given, "why").trim(), of: typed(given, "of") };
      this.handles = (
        await this.api.post<Erasing>(`/identity/erasures/${encodeURIComponent(handleOf(given, "erased"))}`, body)
      ).body.handles;
      form.reset();
    });
  }

  protected override render(): TemplateResult {
    return html`<section><h2>Erasure</h2>
      <p class="dim">Originals, clean copies, results, reviews and the sealed identity go from every store. For seven days an operator can bring the identity back; then nobody can. The audit log keeps who asked, and why.</p>
      ${this.failed()}
      ${this.handles ? html`<p class="notice good" role="status">Being erased: ${this.handles.join(", ")}.</p>` : nothing}
      <form class="row" @submit=${(event: SubmitEvent) => void this.erase(event)}>
        ${handleField("erased", "Handle")}
        <label class="field"><span>What</span><select name="of"><option value="study">This study</option><option value="patient">All studies of its patient</option></select></label>
        <label class="field wide"><span>Reason (do not name the patient)</span><input name="why" required minlength="10" maxlength="500" /></label>
        <label class="below"><input type="checkbox" required /> This cannot be undone</label>
        <button class="danger below">Erase</button></form></section>`;
  }
}
