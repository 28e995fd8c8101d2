import { html, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import type { IdentityRequest, RequestList } from "../../generated/api-types.js";
import { clock } from "../format.js";
import { Page } from "../page.js";
import "../parts/identity.js";

@customElement("rf-requests")
export class Requests extends Page {
  @state() private requests: IdentityRequest[] = [];
  @state() private decides = false;

  protected override begin(): void {
    void this.attempt(() => this.read());
  }

  private async read(): Promise<void> {
    const answer = await this.api.get<RequestList>("/identity/requests");
    this.requests = answer.requests;
    this.decides = answer.decides;
  }

  private async decide(request: IdentityRequest, approve: boolean): Promise<void> {
    await this.attempt(async () => {
      await this.api.post(`/identity/requests/${request.act.id}/decision`, { approve });
      await this.read();
    });
  }

  protected override render(): TemplateResult {
    return html`<section class="sheet"><h1>Requests</h1>
      <p>For every use of an identity that is not care, a second person decides. Ask on the study's page, under “Other use…”.</p>
      ${this.failed()}
      ${this.loading ? this.skeleton() : this.requests.length ? this.table() : html`<p class="dim">There are no requests.</p>`}</section>`;
  }

  private table(): TemplateResult {
    return html`<div class="scroll"><table><thead><tr><th scope="col">When</th><th scope="col">Study</th><th scope="col">Who</th><th scope="col">Reason</th><th scope="col">State</th><th scope="col">Action</th></tr></thead>
      <tbody>${this.requests.map(
        (
          r,
        ) => html`<tr><td>${clock(r.act.at)}</td><th scope="row" class="handle">${r.act.handle}</th><td>${r.mine ? "me" : r.act.by_name}</td><td>${r.act.reason}</td>
        <td>${r.state}${r.answer ? html` <span class="dim">${r.answer.by_name}, ${clock(r.answer.at)}</span>` : ""}</td><td>${this.action(r)}</td></tr>`,
      )}</tbody></table></div>`;
  }

  private action(r: IdentityRequest): TemplateResult | string {
    if (r.mine && r.state === "approved")
      return html`<rf-identity .api=${this.api} .me=${this.me} .token=${r.act.token} .request=${r.act.id}></rf-identity>`;
    if (this.decides && !r.mine && r.state === "open")
      return html`<div class="row"><button class="primary" @click=${() => void this.decide(r, true)}>Approve</button><button @click=${() => void this.decide(r, false)}>Decline</button></div>`;
    return "–";
  }
}
