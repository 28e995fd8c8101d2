/** What de-identification did to a study: the report of its receipts, to read and to keep. */

import { html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";

import type { DeidReport } from "../../generated/api-types.js";
import { Problem } from "../api.js";
import { Page } from "../page.js";

@customElement("rf-deid")
export class DeidReportDialog extends Page {
  /** The study's token, or its handle. */
  @property() study = "";
  /** Whether it is looked up first: then nothing is offered of a study that is not there. */
  @property({ type: Boolean }) lookup = false;
  @state() private report: DeidReport | undefined;
  private known: DeidReport | undefined;

  protected override begin(): void {
    this.loading = this.lookup;
    if (this.lookup) void this.attempt(async () => void (this.known = await this.ask()));
  }

  private async ask(): Promise<DeidReport> {
    try {
      return await this.api.get<DeidReport>(`/studies/${encodeURIComponent(this.study)}/privacy`);
    } catch (error) {
      if (this.lookup && error instanceof Problem && error.status === 404)
        throw new Problem(404, error.code, "No study of your clinics has this handle. Compare its eight characters.");
      throw error;
    }
  }

  private async open(): Promise<void> {
    await this.attempt(async () => {
      this.report = this.known ?? (await this.ask());
      await this.updateComplete;
      this.querySelector("dialog")?.showModal();
    });
  }

  /** The page to print. It is kept as a file, because a page may not open one that was made by another. */
  private async keep(): Promise<void> {
    await this.attempt(async () => {
      const address = await this.api.picture(`/studies/${encodeURIComponent(this.study)}/privacy`, "text/html");
      const link = Object.assign(document.createElement("a"), { href: address, download: `deidentification-${this.report?.handle}.html` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    });
  }

  protected override render(): TemplateResult {
    if (this.lookup && !this.known)
      return html`${this.loading ? html`<span class="dim" role="status">Looking it up…</span>` : this.failed()}`;
    return html`<button @click=${() => void this.open()}>De-identification report</button>${this.failed()}${this.report ? this.dialog(this.report) : nothing}`;
  }

  private dialog(report: DeidReport): TemplateResult {
    return html`<dialog class="report" aria-labelledby="deid-title" @close=${() => (this.report = undefined)}>
      <h2 id="deid-title">De-identification of study <span class="handle">${report.handle}</span></h2>
      <p><b>${report.title}.</b> ${report.legal}</p>
      <dl class="facts">${report.facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
      ${
        report.harbor.length
          ? html`<h3>The 18 identifiers of HIPAA Safe Harbor</h3><div class="scroll"><table><thead><tr><th scope="col">Letter</th><th scope="col">Identifier</th><th scope="col">What happened to it</th></tr></thead>
        <tbody>${report.harbor.map(([letter, what, how]) => html`<tr><td>${letter}</td><th scope="row">${what}</th><td>${how}</td></tr>`)}</tbody></table></div>`
          : nothing
      }
      <h3>Every rule that acted</h3>
      ${
        report.rules.length
          ? html`<div class="scroll"><table><thead><tr><th scope="col">Attribute</th><th scope="col">Action</th><th scope="col">Why</th><th scope="col">Times</th></tr></thead>
        <tbody>${report.rules.map(([name, action, why, times]) => html`<tr><th scope="row">${name}</th><td>${action}</td><td>${why}</td><td>${times}</td></tr>`)}</tbody></table></div>`
          : html`<p class="dim">There are no receipts of this study.</p>`
      }
      <p class="dim small">No value is recorded. Attributes that are not listed stayed as they were.</p>
      <form method="dialog" class="row"><button autofocus class="primary">Close</button><button type="button" @click=${() => void this.keep()}>Save as a page</button></form>
    </dialog>`;
  }
}
