/** Two patients of a clinic that are one person: their studies stand together, as each other's priors. */

import { html, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import { typed } from "../form.js";
import { handleField, handleOf } from "../handle.js";
import { Page } from "../page.js";

@customElement("rf-merge")
export class Merge extends Page {
  @state() private asked = "";

  private async merge(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const given = new FormData(form);
    const [merged, into] = [handleOf(given, "merged"), handleOf(given, "into")];
    await this.attempt(async () => {
      await this.api.post(`/identity/merges/${encodeURIComponent(merged)}`, { into, reason: typed(given, "because").trim() });
      this.asked = merged === into ? `The merge of ${merged} is being undone.` : `${merged} is being joined to ${into}.`;
      form.reset();
    });
  }

  protected override render(): TemplateResult {
    return html`<section><h2>One person under two identifiers</h2>
      <p class="dim">All studies of the first study's patient join the second's: priors and intervals are right from then on. Images do not change. The same handle twice undoes it.</p>
      ${this.failed()}
      ${this.asked ? html`<p class="notice good" role="status">${this.asked}</p>` : nothing}
      <form class="row" @submit=${(event: SubmitEvent) => void this.merge(event)}>
        ${handleField("merged", "Study of the one")}${handleField("into", "Study of the other")}
        <label class="field wide"><span>Reason (name nobody)</span><input name="because" required minlength="10" maxlength="500" /></label>
        <button class="below">Join them</button></form></section>`;
  }
}
