/** Which models run, and changing that: one person proposes, another one confirms. */

import { html, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import type { Decided, ModelChanges, OpenProposal, Proposed } from "../../generated/api-types.js";
import { typed } from "../form.js";
import { clock } from "../format.js";
import { Page } from "../page.js";

const PATH = "/identity/model-changes";

@customElement("rf-model-changes")
export class ModelChangesPanel extends Page {
  @state() private found: ModelChanges | undefined;
  @state() private saved = "";

  protected override begin(): void {
    void this.attempt(() => this.read());
  }

  private async read(): Promise<void> {
    this.found = await this.api.get<ModelChanges>(PATH);
  }

  private async propose(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const given = new FormData(form);
    const [act, what] = typed(given, "change").split(" ") as [string, string];
    const change = act === "rollback" ? { act, to: Number(what) } : { act, digest: what };
    await this.attempt(async () => {
      const made = await this.api.post<Proposed>(PATH, { ...change, reason: typed(given, "reason").trim() });
      this.saved = `Proposed: ${made.body.what}. Another person has to confirm it.`;
      form.reset();
      await this.read();
    });
  }

  private async decide(proposal: OpenProposal, confirm: boolean): Promise<void> {
    await this.attempt(async () => {
      const done = await this.api.post<Decided>(`${PATH}/${proposal.id}/decision`, { confirm });
      this.saved = `${confirm ? "Confirmed" : "Declined"}: ${done.body.what}.`;
      await this.read();
    });
  }

  protected override render(): TemplateResult {
    const found = this.found;
    return html`<section><h2>Which models run</h2>
      ${this.failed()} <div role="status">${this.saved ? html`<p class="notice good">${this.saved}</p>` : nothing}</div>
      ${found ? html`${this.models(found)} ${found.proposals.map((one) => this.waiting(one))} ${this.form(found)} ${history(found)}` : this.loading ? this.skeleton(2) : nothing}
    </section>`;
  }

  private models(found: ModelChanges): TemplateResult {
    const since = found.number ? `since entry ${found.number} of the history` : "as deployed";
    return html`<p class="dim">${since}, routes <code>${found.routing.slice(0, 12)}</code></p>
      <div class="scroll"><table><thead><tr><th scope="col">Model</th><th scope="col">Digest</th><th scope="col">State</th></tr></thead>
      <tbody>${found.models.map((m) => html`<tr><th scope="row">${m.name} ${m.version}</th><td><code>${m.digest.slice(0, 12)}</code></td><td>${stateOf(m)}</td></tr>`)}</tbody></table></div>`;
  }

  private waiting(one: OpenProposal): TemplateResult {
    const confirms = this.may("model_change_decide") && !one.mine && !one.why_not;
    return html`<div class="notice"><p><b>${one.what}</b>, proposed by ${one.mine ? "me" : one.by}: ${one.reason}${one.why_not ? html` (${one.why_not})` : nothing}. It lapses ${clock(one.lapses)}.</p>
      ${this.may("model_change_decide") ? html`<div class="row">${confirms ? html`<button class="primary" @click=${() => void this.decide(one, true)}>Confirm</button>` : nothing}<button @click=${() => void this.decide(one, false)}>${one.mine ? "Take back" : "Decline"}</button></div>` : nothing}</div>`;
  }

  private form(found: ModelChanges): TemplateResult | typeof nothing {
    if (!this.may("model_change_propose")) return nothing;
    const versions = found.models.filter((m) => m.active || (m.approved && m.in_image));
    return html`<form class="row" @submit=${(event: SubmitEvent) => void this.propose(event)}>
      <label class="field"><span>Change</span><select name="change">
        ${versions.map((m) => (m.active ? html`<option value="deactivate ${m.digest}">Deactivate ${m.name} ${m.version}</option>` : html`<option value="activate ${m.digest}">Activate ${m.name} ${m.version}</option>`))}
        ${found.changes.map((c) => html`<option value="rollback ${c.number - 1}">Go back to before entry ${c.number}</option>`)}
      </select></label>
      <label class="field wide"><span>Why it is to change</span><input name="reason" required minlength="10" maxlength="500" /></label>
      <button class="below">Propose</button></form>`;
  }
}

function stateOf(m: ModelChanges["models"][number]): string {
  if (!m.approved) return "active, but not approved any more: it does not run";
  if (!m.in_image) return m.active ? "active, but not in the job's image: it does not run" : "not in the job's image";
  return m.active ? "active" : "not active";
}

function history(found: ModelChanges): TemplateResult | typeof nothing {
  if (!found.changes.length) return nothing;
  return html`<details><summary>History</summary><div class="scroll"><table><thead><tr><th scope="col">Entry</th><th scope="col">What</th><th scope="col">Proposed by</th><th scope="col">Confirmed by</th><th scope="col">When</th><th scope="col">Why</th></tr></thead>
    <tbody>${found.changes.map((c) => html`<tr><th scope="row">${c.number}</th><td>${c.what}</td><td>${c.proposed_by}</td><td>${c.confirmed_by}</td><td>${clock(c.confirmed_at)}</td><td class="words">${c.reason}</td></tr>`)}</tbody></table></div></details>`;
}
