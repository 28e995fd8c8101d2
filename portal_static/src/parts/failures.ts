/** What went wrong and is not over, with what to do: an operator replays a study or calls it off. */

import { html, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import type { FailedStudy, FailureList } from "../../generated/api-types.js";
import { clock, counted } from "../format.js";
import { handleField, handleOf } from "../handle.js";
import { Page } from "../page.js";

const LOOK_SECONDS = 15;
type Deed = "replay" | "cancel";
const ASKED: Record<Deed, string> = { replay: "Replay asked for", cancel: "Cancellation asked for" };

@customElement("rf-failures")
export class Failures extends Page {
  @state() private studies: FailedStudy[] = [];
  @state() private parked: Record<string, number> = {};
  @state() private asked = new Map<string, Deed>(); // handle -> what was asked for since the page was opened
  @state() private saved = "";
  private etag = "";
  private timer = 0;

  protected override begin(): void {
    void this.attempt(() => this.read());
    this.timer = window.setInterval(() => void this.attempt(() => this.read()), LOOK_SECONDS * 1000);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  private async read(): Promise<void> {
    const answer = await this.api.changed<FailureList>("/failures", this.etag);
    if (!answer) return;
    this.etag = answer.etag;
    this.studies = answer.body.studies;
    this.parked = answer.body.parked;
  }

  private async ask(deed: Deed, handles: string[]): Promise<void> {
    this.saved = "";
    await this.attempt(async () => {
      for (const handle of handles) {
        await this.api.post(`/studies/${handle}/${deed}`, {});
        this.asked = new Map(this.asked).set(handle, deed);
        this.saved = `${ASKED[deed]}: ${handles.length > 1 ? counted(handles.length, "study", "studies") : handle}.`;
      }
    });
  }

  protected override render(): TemplateResult {
    const again = this.studies.filter((s) => s.replay && !this.asked.has(s.handle));
    return html`<section><h2>What went wrong and is not over</h2>
      ${this.failed()} <div role="status">${this.saved ? html`<p class="notice good">${this.saved}</p>` : nothing}</div>
      ${this.loading ? this.skeleton(2) : this.studies.length ? this.table() : html`<p class="dim">No study failed, waits for a decision, or has an alert that was not sent.</p>`}
      ${Object.entries(this.parked).map(([queue, count]) => html`<p class="notice bad">${counted(count, "message")} of queue ${queue} parked. When the cause is gone: <code>readfirst parked ${queue}</code></p>`)}
      <div class="row">
        ${
          again.length > 1
            ? html`<button @click=${() =>
                void this.ask(
                  "replay",
                  again.map((s) => s.handle),
                )}>Replay all ${again.length}</button>`
            : nothing
        }
        <form class="row" @submit=${(e: SubmitEvent) => this.sent(e)}>
          ${handleField("handle", "Any study, by its handle")}
          <button class="below" name="deed" value="replay">Replay</button><button class="below danger" name="deed" value="cancel">Cancel what it is doing</button></form>
      </div></section>`;
  }

  private sent(event: SubmitEvent): void {
    event.preventDefault();
    const handle = handleOf(new FormData(event.target as HTMLFormElement), "handle");
    void this.ask((event.submitter as HTMLButtonElement).value as Deed, [handle]);
  }

  private table(): TemplateResult {
    return html`<div class="scroll"><table><thead><tr><th scope="col">Study</th><th scope="col">Cause</th><th scope="col">What to do</th><th scope="col">Action</th><th scope="col">Stage</th><th scope="col">Clinic</th><th scope="col">Since</th></tr></thead>
      <tbody>${this.studies.map(
        (s) =>
          html`<tr><th scope="row" class="handle">${s.handle}</th><td>${s.cause}</td><td class="words">${s.remedy}</td><td>${this.action(s)}</td><td>${s.stage}</td><td>${s.clinic}</td><td>${clock(s.since)}</td></tr>`,
      )}</tbody></table></div>`;
  }

  private action(study: FailedStudy): TemplateResult | string {
    const asked = this.asked.get(study.handle);
    if (asked) return ASKED[asked];
    return study.replay ? html`<button @click=${() => void this.ask("replay", [study.handle])}>Replay</button>` : "–";
  }
}
