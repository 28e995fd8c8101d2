/** The doors to an identity on the study page: shown for minutes, watermarked, every use in the audit log. */

import { html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";

import type { Identity } from "../../generated/api-types.js";
import { typed } from "../form.js";
import { clock, day, moment } from "../format.js";
import { Page } from "../page.js";

@customElement("rf-identity")
export class IdentityDoors extends Page {
  @property() token = "";
  /** An approved request of one's own: then the only door is to open it. */
  @property() request = "";
  @state() private shown: Identity | undefined;
  @state() private asking: "" | "break-glass" | "requests" = "";
  @state() private note = "";
  private timer = 0;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.timer);
  }

  private async show(path: string, body: unknown): Promise<void> {
    await this.attempt(async () => {
      const { body: answer } = await this.api.post<Identity>(path, body);
      this.asking = "";
      this.shown = answer;
      this.timer = setTimeout(() => (this.shown = undefined), Date.parse(answer.until) - Date.now());
    });
  }

  private async submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const reason = typed(new FormData(event.target as HTMLFormElement), "reason");
    if (this.asking === "break-glass") return this.show(`/identity/break-glass/${this.token}`, { reason });
    await this.attempt(async () => {
      await this.api.post(`/identity/requests/${this.token}`, { reason });
      this.asking = "";
      this.note = "Asked. A second person decides; see Requests.";
    });
  }

  protected override render(): TemplateResult {
    if (this.shown) return this.card(this.shown);
    if (this.request)
      return html`<button class="primary" @click=${() => void this.show(`/identity/requests/${this.request}/open`, {})}>Show the identity</button>${this.failed()}`;
    return html`<span class="doors">
      ${this.may("treatment") ? html`<button @click=${() => void this.show(`/identity/treatment/${this.token}`, {})}>Show patient</button>` : nothing}
      ${this.may("break_glass") ? html`<button class="danger" @click=${() => this.ask("break-glass")}>Break glass</button>` : nothing}
      ${this.may("request_identity") ? html`<button class="quiet" @click=${() => this.ask("requests")}>Other use…</button>` : nothing}
      ${this.note ? html`<span role="status" class="dim">${this.note}</span>` : nothing}
      ${this.asking ? nothing : this.failed()}
      ${this.dialog()}
    </span>`;
  }

  private ask(door: "break-glass" | "requests"): void {
    this.asking = door;
    void this.updateComplete.then(() => this.querySelector("dialog")?.showModal());
  }

  private dialog(): TemplateResult | typeof nothing {
    if (!this.asking) return nothing;
    const glass = this.asking === "break-glass";
    return html`<dialog aria-labelledby="door-title" @close=${() => (this.asking = "")}>
      <h2 id="door-title">${glass ? "Break glass: see whose study this is" : "Ask for an identity, for a use that is not care"}</h2>
      <p>${glass ? "You see it at once. The privacy officer reviews every use, and the clinic is notified." : "A second person must approve before anything is shown."}</p>
      ${this.failed()}
      <form @submit=${(e: SubmitEvent) => void this.submit(e)}>
        <label class="field wide"><span>Reason (do not name the patient)</span><textarea name="reason" required minlength="10" maxlength="500" rows="3" autofocus></textarea></label>
        <div class="row"><button class=${glass ? "danger" : "primary"}>${glass ? "Show the identity" : "Ask"}</button>
        <button type="button" @click=${() => (this.asking = "")}>Cancel</button></div>
      </form>
    </dialog>`;
  }

  private card(identity: Identity): TemplateResult {
    const watermark = identity.watermark.replace(/\d{4}-\d\d-\d\dT\S+/, moment);
    return html`<section class="identity" aria-label="Patient" data-watermark=${watermark}>
      <dl><div><dt>Name</dt><dd>${identity.name}</dd></div><div><dt>ID</dt><dd>${identity.patient_id}</dd></div><div><dt>Born</dt><dd>${identity.birth_date ? day(identity.birth_date) : "not stated"}</dd></div><div><dt>Accession</dt><dd>${identity.accession}</dd></div></dl>
      <p class="dim">Shown to ${watermark}, until ${clock(identity.until)} <button class="quiet" @click=${() => (this.shown = undefined)}>Hide</button></p>
    </section>`;
  }
}
