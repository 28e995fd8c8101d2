import { html, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import type { ModelList, UsedModel } from "../../generated/api-types.js";
import { counted } from "../format.js";
import { Page } from "../page.js";

@customElement("rf-about")
export class About extends Page {
  @state() private models: UsedModel[] = [];

  protected override begin(): void {
    void this.attempt(async () => {
      this.models = (await this.api.get<ModelList>("/models")).models;
    });
  }

  protected override render(): TemplateResult {
    return html`<section class="sheet">
      <h1>About Readfirst</h1>
      <p>Readfirst gets studies from a clinic to an AI to a radiologist. The AI decides which study is read first: it can only move a study
      forward. It never says that a study is normal.</p>
      <p class="notice urgent">The built-in model is trained on synthetic phantoms: SYNTHETIC, NOT FOR DIAGNOSIS. Sign-off in this portal reviews the AI result; it is not the radiology report.</p>
      ${this.failed()}
      <section><h2>What the labels mean</h2><dl class="facts">
        <div><dt>flagged</dt><dd>The model found what it looks for. High risk is read first, and its radiologist got an e-mail.</dd></div>
        <div><dt>not flagged by AI</dt><dd>The model found nothing of what it looks for. This does not exclude disease: it is read as usual.</dd></div>
        <div><dt>READ IN PART</dt><dd>The model found nothing in what it read, and that was not all: the study page says how much. It is read as usual.</dd></div>
        <div><dt>NOT ANALYSED</dt><dd>No model looked at it (refused, quarantined, failed, timed out, out of scope). It is read as usual.</dd></div>
      </dl></section>
      <section><h2>Model cards</h2>${this.loading ? this.skeleton(2) : this.models.length ? html`<div class="cards">${this.models.map((m) => this.card(m))}</div>` : html`<p class="dim">No model has spoken yet.</p>`}</section>
    </section>`;
  }

  private card(m: UsedModel): TemplateResult {
    const use =
      m.intended_use === "triage"
        ? "Triage: it sorts the worklist. It is not a diagnosis."
        : "Detection: it marks places to look at. It is not a diagnosis.";
    return html`<article class="card"><h3>${m.name} ${m.version}</h3><p class="notice urgent">${m.disclaimer}</p><p>${use}</p><p class="dim">${counted(m.studies, "study", "studies")} in your clinics</p><p><code class="small">sha256 ${m.digest.slice(0, 32)}…</code></p></article>`;
  }
}
