import { html, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import type { Outcome, OutcomeList } from "../../generated/api-types.js";
import { clock, images } from "../format.js";
import { Page } from "../page.js";
import { Sender, filesOf, type Picked } from "../upload.js";

interface Sending extends Picked {
  share: number;
  state: "waiting" | "sending" | "sent" | "before" | "failed";
}

const AT_ONCE = 4;

@customElement("rf-uploads")
export class Uploads extends Page {
  @state() private told: Outcome[] = [];
  @state() private sending: Sending[] = [];
  @state() private over = false;
  private timer = 0;

  protected override begin(): void {
    void this.attempt(() => this.read());
    this.timer = setInterval(() => void this.attempt(() => this.read()), 10_000);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  private async read(): Promise<void> {
    this.told = (await this.api.get<OutcomeList>("/uploads")).items;
  }

  private async dropped(event: DragEvent): Promise<void> {
    event.preventDefault();
    this.over = false;
    if (event.dataTransfer) this.send(await filesOf(event.dataTransfer));
  }

  private send(files: Picked[]): void {
    const added = files.map((f): Sending => ({ ...f, share: 0, state: "waiting" }));
    this.sending = [...added, ...this.sending.filter((s) => s.state !== "sent" && s.state !== "before")];
    void this.attempt(() => this.sendAll(added));
  }

  private async sendAll(list: Sending[], again = false): Promise<void> {
    const clinic = this.querySelector<HTMLSelectElement>("#clinic")?.value ?? this.me.clinics[0]?.id ?? "";
    const sender = new Sender(this.api, clinic);
    const queue = [...list];
    const next = async (): Promise<void> => {
      for (let one = queue.shift(); one; one = queue.shift()) await this.sendOne(sender, one, again);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
    await this.read();
  }

  private async sendOne(sender: Sender, one: Sending, again: boolean): Promise<void> {
    this.mark(one, { state: "sending", share: 0 });
    try {
      this.mark(one, { state: await sender.send(one, again, (share) => this.mark(one, { share })) });
    } catch {
      this.mark(one, { state: "failed" });
    }
  }

  private mark(one: Sending, change: Partial<Sending>): void {
    Object.assign(one, change);
    this.requestUpdate();
  }

  protected override render(): TemplateResult {
    return html`<section class="sheet"><h1>Uploads</h1>
      ${this.failed()}
      <div class="drop ${this.over ? "over" : ""}" @dragover=${(e: DragEvent) => {
        e.preventDefault();
        this.over = true;
      }} @dragleave=${() => (this.over = false)} @drop=${(e: DragEvent) => void this.dropped(e)}>
        <p class="big">Drop a folder or a zip of DICOM files here</p>
        ${this.me.clinics.length > 1 ? html`<label class="field"><span>Clinic</span><select id="clinic">${this.me.clinics.map((c) => html`<option value=${c.id}>${c.name}</option>`)}</select></label>` : nothing}
        <div class="row"><label class="field"><span>Files</span><input type="file" multiple @change=${(e: Event) => this.picked(e)} /></label>
        <label class="field"><span>Folder</span><input type="file" webkitdirectory @change=${(e: Event) => this.picked(e)} /></label></div>
        <p class="dim">If the connection breaks off or the page is closed, drop the same files again: only the rest is sent.</p>
        <p class="dim">The names of patients are removed after arrival, before anything is analysed.</p>
      </div>
      ${this.sending.length ? html`<section><h2>Sending</h2>${this.progress()}</section>` : nothing}
      <section><h2>What became of it</h2>${this.loading ? this.skeleton() : this.told.length ? this.table() : html`<p class="dim">Nothing was uploaded yet.</p>`}</section>
    </section>`;
  }

  private picked(event: Event): void {
    const input = event.target as HTMLInputElement;
    this.send([...(input.files ?? [])].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
    input.value = "";
  }

  private progress(): TemplateResult {
    const all = this.sending;
    const [sent, before, failed] = (["sent", "before", "failed"] as const).map((state) => all.filter((s) => s.state === state));
    const bytes = all.reduce((sum, s) => sum + s.file.size, 0);
    const gone = all.reduce((sum, s) => sum + s.file.size * (s.state === "sent" || s.state === "before" ? 1 : s.share), 0);
    const open = all.filter((s) => s.state !== "sent" && s.state !== "before").slice(0, 20);
    return html`<p role="status"><b>${sent!.length}</b> of ${all.length} sent${before!.length ? html`, ${before!.length} sent before` : nothing}${failed!.length ? html`, <span class="overdue">${failed!.length} failed</span>` : nothing}</p>
      <progress class="whole" max=${Math.max(1, bytes)} .value=${gone} aria-label="All files"></progress>
      ${
        failed!.length
          ? html`<p class="notice bad">The connection broke off. What has arrived stays: go on, or drop the same files again later.
        <button @click=${() => void this.attempt(() => this.sendAll(failed!))}>Go on</button></p>`
          : nothing
      }
      ${before!.length ? html`<p><button class="quiet" @click=${() => void this.attempt(() => this.sendAll(before!, true))}>Send those once more</button></p>` : nothing}
      ${open.map((s) => html`<div class="file"><span>${s.name}</span><progress max="1" .value=${s.share} aria-label=${s.name}></progress><span>${s.state}</span></div>`)}`;
  }

  private table(): TemplateResult {
    return html`<div class="scroll"><table><thead><tr><th scope="col">When</th><th scope="col">What</th><th scope="col">Outcome</th><th scope="col">What to do</th></tr></thead><tbody>
      ${this.told.map((t) => html`<tr><td>${clock(t.at ?? "")}</td><th scope="row">${t.upload ?? studyOf(t)}</th><td>${outcome(t)}</td><td>${advice(t)}</td></tr>`)}</tbody></table></div>`;
  }
}

function studyOf(t: Outcome): TemplateResult {
  const own = t.accessionNumber ? `accession ${t.accessionNumber}` : (t.studyInstanceUid ?? "");
  return html`Study <span class="handle">${t.handle}</span>${own ? html` <span class="dim">${own}</span>` : nothing}`;
}

function outcome(t: Outcome): string {
  if (t.kind === "access") return `An identity was shown (${t.door}) to a ${t.role}`;
  const count = t.images == null ? "" : `, ${images(t.images)}`;
  if (t.kind === "studies")
    return `${t.state}${t.label ? `: ${t.label}` : ""}${count}${t.review?.state === "signed" ? "; the review is signed" : ""}`;
  return t.outcome === "taken" ? `taken${count}` : (t.outcome ?? "");
}

function advice(t: Outcome): TemplateResult | string {
  const others = (t.others ?? []).filter((o) => o.outcome === "refused");
  if (others.length) return html`<ul class="plain">${others.map((o) => html`<li>${o.member}: ${o.advice}</li>`)}</ul>`;
  return t.advice ?? t.reason ?? "";
}
