import { html, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";
import { keyed } from "lit/directives/keyed.js";

import type { AuditLog, Use, UseList } from "../../generated/api-types.js";
import { clock, day, moment } from "../format.js";
import { handleField, handleOf } from "../handle.js";
import { Page } from "../page.js";
import "../parts/deid-report.js";
import "../parts/erasure.js";
import "../parts/merge.js";

@customElement("rf-privacy")
export class Privacy extends Page {
  @state() private uses: Use[] = [];
  @state() private log: AuditLog | undefined;
  @state() private app = "identity";
  @state() private day = "";
  @state() private handle = "";

  protected override begin(): void {
    void this.attempt(async () => {
      const [uses, log] = await Promise.all([this.api.get<UseList>("/identity/break-glass"), this.readLog()]);
      this.uses = uses.uses;
      this.log = log;
    });
  }

  private readLog(): Promise<AuditLog> {
    return this.api.get<AuditLog>(`/audit?app=${this.app}${this.day ? `&day=${this.day}` : ""}`);
  }

  private look(app: string, day: string): void {
    [this.app, this.day] = [app, day];
    void this.attempt(async () => {
      this.log = await this.readLog();
    });
  }

  private async review(use: Use, justified: boolean): Promise<void> {
    await this.attempt(async () => {
      await this.api.post(`/identity/break-glass/${use.act.id}/review`, { justified });
      this.uses = (await this.api.get<UseList>("/identity/break-glass")).uses;
    });
  }

  protected override render(): TemplateResult {
    return html`<section class="sheet">
      <h1>Privacy</h1>
      ${this.failed()}
      ${this.loading ? this.skeleton() : html`${this.reports()}<section><h2>Uses of break-glass</h2>${this.usesTable()}</section><section><h2>Audit log</h2>${this.logView()}</section><rf-merge .api=${this.api} .me=${this.me}></rf-merge><rf-erasure .api=${this.api} .me=${this.me}></rf-erasure>`}
    </section>`;
  }

  private reports(): TemplateResult {
    return html`<section><h2>De-identification reports</h2>
      <form class="row" @submit=${(e: SubmitEvent) => {
        e.preventDefault();
        this.handle = handleOf(new FormData(e.target as HTMLFormElement), "handle");
      }}>
        ${handleField("handle", "Handle of a study of your clinics")}
        <button class="below">Look it up</button></form>
      ${this.handle ? keyed(this.handle, html`<p>${this.handle}: <rf-deid lookup .api=${this.api} .me=${this.me} .study=${this.handle}></rf-deid></p>`) : nothing}</section>`;
  }

  private usesTable(): TemplateResult {
    if (!this.uses.length) return html`<p class="dim">Nobody broke the glass.</p>`;
    return html`<div class="scroll"><table><thead><tr><th scope="col">When</th><th scope="col">Study</th><th scope="col">Who</th><th scope="col">Reason</th><th scope="col">Review</th></tr></thead>
      <tbody>${this.uses.map(
        (
          u,
        ) => html`<tr><td>${clock(u.act.at)}</td><th scope="row" class="handle">${u.act.handle}</th><td>${u.act.by_name}</td><td>${u.act.reason}</td>
        <td>${
          u.answer
            ? html`${u.answer.yes ? "Justified" : "Not justified"} <span class="dim">${u.answer.by_name}, ${clock(u.answer.at)}</span>`
            : html`<div class="row">${u.overdue ? html`<span class="overdue">Overdue</span>` : nothing}
          <button @click=${() => void this.review(u, true)}>Justified</button><button class="danger" @click=${() => void this.review(u, false)}>Not justified</button></div>`
        }</td></tr>`,
      )}</tbody></table></div>`;
  }

  private logView(): TemplateResult {
    const log = this.log;
    const broken = log?.days.filter((d) => d.broken_at !== null) ?? [];
    return html`<div class="row">
        <label class="field"><span>App</span><select @change=${(e: Event) => this.look((e.target as HTMLSelectElement).value, "")}>${["identity", "api", "intake"].map((app) => html`<option ?selected=${app === this.app}>${app}</option>`)}</select></label>
        <label class="field"><span>Day</span><select @change=${(e: Event) => this.look(this.app, (e.target as HTMLSelectElement).value)}>${[...(log?.days ?? [])].reverse().map((d) => html`<option value=${d.day} ?selected=${d.day === log?.day}>${date(d.day)}</option>`)}</select></label>
      </div>
      ${broken.length ? html`<p class="notice bad" role="alert">The chain is broken on ${broken.map((d) => `${date(d.day)} at entry ${d.broken_at}`).join(", ")}.</p>` : html`<p class="notice good">Every chain of this app is unbroken.</p>`}
      ${
        log?.entries.length
          ? html`<div class="scroll"><table><thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">Study</th><th scope="col">Act</th><th scope="col">Outcome</th><th scope="col">Role</th><th scope="col">Clinic</th><th scope="col">Reason</th></tr></thead>
        <tbody>${log.entries.map((e) => html`<tr><td>${moment(e.at)}</td><td>${e.name || html`<code class="small">${e.actor}</code>`}</td><td class="handle">${e.handle || "–"}</td><td>${e.act.replaceAll("_", " ")}</td><td>${e.outcome}</td><td>${e.role}</td><td>${e.clinic}</td><td>${e.reason}</td></tr>`)}</tbody></table></div>`
          : html`<p class="dim">No entries.</p>`
      }`;
  }
}

/** The day of a log, for people. */
function date(iso: string): string {
  return day(iso.replaceAll("-", ""));
}
