import { html, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import { clock } from "../format.js";
import { Page } from "../page.js";

interface Item {
  item: string;
  clinic: string;
  study: string;
  reason: string;
  advice: string;
  size: number;
  at: string;
}

@customElement("rf-quarantine")
export class Quarantine extends Page {
  @state() private items: Item[] = [];
  @state() private chosen = "";
  @state() private picture = "";
  @state() private saved = "";

  protected override begin(): void {
    void this.attempt(async () => {
      this.items = (await this.api.get<{ items: Item[] }>("/quarantine")).items;
    });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    URL.revokeObjectURL(this.picture);
  }

  private async look(item: Item): Promise<void> {
    this.chosen = item.item;
    URL.revokeObjectURL(this.picture);
    this.picture = "";
    await this.attempt(async () => {
      this.picture = await this.api.picture(`/quarantine/${encodeURIComponent(item.item)}/picture`);
    });
  }

  private async decide(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const release = (event.submitter as HTMLButtonElement).value === "release";
    const reason = String(new FormData(event.target as HTMLFormElement).get("reason"));
    await this.attempt(async () => {
      await this.api.post(`/quarantine/${encodeURIComponent(this.chosen)}/decision`, { release, reason });
      this.saved = release ? "Release asked for: the pipeline carries it out." : "Rejected.";
      this.chosen = "";
    });
  }

  protected override render(): TemplateResult {
    return html`<section class="sheet"><h1>Quarantine</h1>
      <p>Files that were kept back because a name could be in them. Who looks at a picture here may see one: every look is in the audit log.</p>
      ${this.failed()} <div role="status">${this.saved ? html`<p class="notice good">${this.saved}</p>` : nothing}</div>
      ${this.loading ? this.skeleton() : this.items.length ? html`<div class="quarantined"><div>${this.table()}</div><div>${this.view()}</div></div>` : html`<div class="empty"><p class="big">Nothing is kept back</p></div>`}
    </section>`;
  }

  private table(): TemplateResult {
    return html`<div class="scroll"><table><thead><tr><th scope="col">When</th><th scope="col">Reason</th><th scope="col">Clinic</th></tr></thead><tbody>
      ${this.items.map((i) => html`<tr aria-selected=${i.item === this.chosen}><td>${clock(i.at)}</td><th scope="row"><button @click=${() => void this.look(i)}>${i.reason}</button></th><td>${this.me.clinics.find((c) => c.id === i.clinic)?.name ?? i.clinic}</td></tr>`)}
    </tbody></table></div>`;
  }

  private view(): TemplateResult {
    const item = this.items.find((i) => i.item === this.chosen);
    if (!item) return html`<p class="dim">Choose a file.</p>`;
    return html`<article class="card"><h2>${item.reason}</h2><p>${item.advice}</p>
      ${this.picture ? html`<img src=${this.picture} alt="The picture that was kept back" />` : html`<p class="dim">This file shows no picture.</p>`}
      <form @submit=${(e: SubmitEvent) => void this.decide(e)}><label class="field wide"><span>Reason for the decision</span><textarea name="reason" required minlength="3" maxlength="500" rows="2"></textarea></label>
      <div class="row"><button class="primary" value="release">Release</button><button class="danger" value="reject">Reject</button></div></form></article>`;
  }
}
