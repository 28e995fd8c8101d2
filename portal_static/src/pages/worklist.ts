import { html, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import { studyPath } from "../address.js";
import type { StudyLine, StudyList } from "../../generated/api-types.js";
import { exam, images } from "../format.js";
import { allowed, canAsk, notify } from "../notify.js";
import { Page, go, typing } from "../page.js";
import { fetchViewer } from "../prefetch.js";
import { POLL_MS, modelsOf, resultOf, waiting, type Label } from "../study-line.js";

const TICK_MS = 30_000;
const MODALITIES = ["CR", "CT", "DX", "MG", "MR", "NM", "PT", "RF", "US", "XA"];
const BANDS = ["Past its maximum wait", "High risk", "In order of due time"] as const;
const LABELS: Label[] = [
  "flagged",
  "not flagged by AI (does not exclude disease)",
  "READ IN PART: read as usual",
  "NOT ANALYSED: read as usual",
];
const FILTERS = ["review", "label", "modality", "clinic", "handle"] as const;

@customElement("rf-worklist")
export class Worklist extends Page {
  @state() private items: StudyLine[] = [];
  @state() private next: string | null = null;
  @state() private chosen = 0;
  @state() private news = "";
  private etag = "";
  private timers: number[] = [];
  private readonly onKey = (event: KeyboardEvent): void => this.key(event);
  /** A hidden page asks on only where its reader wants to be called. */
  private readonly onVisible = (): void => void ((document.visibilityState === "visible" || allowed()) && this.look());

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener("keydown", this.onKey);
    document.addEventListener("visibilitychange", this.onVisible);
    this.timers = [setInterval(() => this.onVisible(), POLL_MS), setInterval(() => this.requestUpdate(), TICK_MS)];
  }

  protected override begin(): void {
    void this.look().then(() => requestIdleCallback(() => void fetchViewer().catch(() => undefined)));
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener("keydown", this.onKey);
    document.removeEventListener("visibilitychange", this.onVisible);
    this.timers.forEach(clearInterval);
  }

  /** The filters live in the address: a filtered list can be kept as a bookmark and sent to a colleague. */
  private get filters(): URLSearchParams {
    return new URLSearchParams(location.search);
  }

  private set(name: string, value: string): void {
    const filters = this.filters;
    if (value) filters.set(name, value);
    else filters.delete(name);
    const query = filters.toString();
    history.replaceState(null, "", query ? `/?${query}` : "/");
    this.etag = "";
    void this.look();
  }

  private address(after = ""): string {
    const query = new URLSearchParams();
    for (const name of FILTERS) {
      const value = this.filters.get(name);
      if (value) query.set(name, name === "handle" ? value.toUpperCase() : value);
    }
    if (after) query.set("after", after);
    return `/studies?${query}`;
  }

  private async look(): Promise<void> {
    await this.attempt(async () => {
      const answer = await this.api.changed<StudyList>(this.address(), this.etag);
      if (!answer) return;
      const known = new Set(this.items.filter((s) => s.high_risk).map((s) => s.id)); // a study is listed before its result
      const urgent = this.etag ? answer.body.items.filter((s) => s.high_risk && !known.has(s.id)) : [];
      if (urgent.length) {
        this.news = `New high-risk study ${urgent.map((s) => s.handle).join(", ")}`;
        if (document.visibilityState !== "visible") notify(this.news);
      }
      const at = this.items[this.chosen]?.id;
      this.items = answer.body.items;
      this.next = answer.body.next;
      this.etag = answer.etag;
      this.chosen = Math.max(
        0,
        this.items.findIndex((s) => s.id === at),
      );
      this.nameTab();
    });
  }

  private async more(): Promise<void> {
    await this.attempt(async () => {
      const page = await this.api.get<StudyList>(this.address(this.next ?? ""));
      this.items = [...this.items, ...page.items];
      this.next = page.next;
      this.nameTab();
    });
  }

  /** What nobody has opened yet stands in the tab's title: it is seen from another tab. */
  private nameTab(): void {
    if (!this.isConnected) return;
    const unread = this.items.filter((s) => s.review === "unread").length;
    document.title = unread ? `(${unread}${this.next ? "+" : ""}) Worklist: Readfirst` : "Worklist: Readfirst";
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Escape" && (event.target as HTMLElement).id === "find") (event.target as HTMLElement).blur();
    if (typing(event)) return;
    if (event.key === "j" || event.key === "ArrowDown") this.choose(this.chosen + 1, event);
    else if (event.key === "k" || event.key === "ArrowUp") this.choose(this.chosen - 1, event);
    else if (event.key === "r") void this.look();
    else if (event.key === "/") {
      event.preventDefault();
      this.querySelector<HTMLInputElement>("#find")?.focus();
    } else if (event.key === "Enter" && !(event.target as HTMLElement).closest("a, button")) this.open();
  }

  private choose(index: number, event: Event): void {
    event.preventDefault();
    this.chosen = Math.min(Math.max(index, 0), this.items.length - 1);
    void this.updateComplete.then(() => this.querySelector<HTMLElement>("tr[aria-selected=true] a")?.focus());
  }

  private open(): void {
    const study = this.items[this.chosen];
    if (study) go(studyPath(study.handle));
  }

  protected override render(): TemplateResult {
    return html`
      <section class="worklist">
        <div class="head">
          <h1>Worklist</h1>
          ${this.summary()}
          ${this.controls()}
        </div>
        <p class="dim small intended">For prioritising studies and for the review of AI results, not for primary diagnosis.</p>
        <div class="news" role="status" aria-live="polite">${this.news ? html`<p class="notice urgent">${this.news} <button class="quiet" @click=${() => (this.news = "")}>Seen</button></p>` : nothing}</div>
        ${this.failed()}
        ${this.loading ? this.skeleton(10) : this.items.length ? this.table() : this.empty()}
        ${this.next ? html`<p class="more"><button @click=${() => void this.more()}>Show more</button></p>` : nothing}
      </section>
    `;
  }

  private summary(): TemplateResult | typeof nothing {
    if (this.loading || !this.items.length) return nothing;
    const count = (band: number): number => this.items.filter((s) => s.band === band).length;
    const [top, high] = [count(0), count(1)];
    return html`<p class="summary">
      <span><b>${this.items.length}${this.next ? "+" : ""}</b> waiting</span>
      ${high ? html`<span class="urgent"><b>${high}</b> high risk</span>` : nothing}
      ${top ? html`<span class="late"><b>${top}</b> past maximum wait</span>` : nothing}
    </p>`;
  }

  private controls(): TemplateResult {
    const filters = this.filters;
    const select = (name: string, title: string, options: [string, string][]): TemplateResult => html`
      <label class="field"><span>${title}</span>
        <select @change=${(e: Event) => this.set(name, (e.target as HTMLSelectElement).value)}>
          ${options.map(([value, text]) => html`<option value=${value} ?selected=${(filters.get(name) ?? "") === value}>${text}</option>`)}
        </select>
      </label>`;
    return html`<search class="controls" aria-label="Filter the worklist">
      ${select("review", "Review", [
        ["", "To read"],
        ["unread", "Unread"],
        ["in progress", "In progress"],
        ["signed", "Signed"],
      ])}
      ${select("label", "AI result", [["", "All"], ...LABELS.map((label): [string, string] => [label, label])])}
      ${select("modality", "Modality", [["", "All"], ...modalities(this.items, filters.get("modality")).map((m): [string, string] => [m, m])])}
      ${this.me.clinics.length > 1 ? select("clinic", "Clinic", [["", "All"], ...this.me.clinics.map((c): [string, string] => [c.id, c.name])]) : nothing}
      <label class="field"><span>Handle</span>
        <input id="find" type="search" maxlength="8" autocomplete="off" spellcheck="false" .value=${filters.get("handle") ?? ""} placeholder="Find  /"
          @input=${(e: Event) => this.set("handle", (e.target as HTMLInputElement).value.trim())} />
      </label>
      ${canAsk() ? html`<button class="below" @click=${() => void Notification.requestPermission().then(() => this.requestUpdate())}>Notify me of high-risk studies</button>` : nothing}
    </search>`;
  }

  private table(): TemplateResult {
    const now = Date.now();
    let index = 0;
    return html`<div class="scroll"><table class="studies">
      <caption class="hidden">Studies in reading order</caption>
      <thead><tr><th scope="col">Handle</th><th scope="col">Exam</th><th scope="col">AI result</th><th scope="col">Why</th>
        <th scope="col">Waiting</th><th scope="col">Review</th><th scope="col">Clinic</th></tr></thead>
      ${BANDS.map((title, band) => {
        const lines = this.items.filter((s) => s.band === band);
        if (!lines.length) return nothing;
        return html`<tbody>
          <tr class="band b${band}"><th colspan="7" scope="rowgroup">${this.filters.get("review") === "signed" ? "Signed" : title} <span>${lines.length}</span></th></tr>
          ${lines.map((study) => this.line(study, index++, now))}
        </tbody>`;
      })}
    </table></div>`;
  }

  private line(study: StudyLine, index: number, now: number): TemplateResult {
    const clinic = this.me.clinics.find((c) => c.id === study.clinic)?.name ?? study.clinic;
    return html`<tr class="b${study.band}" aria-selected=${index === this.chosen ? "true" : "false"}
      @click=${(e: Event) => (e.target as HTMLElement).closest("a") ?? go(studyPath(study.handle))} @focusin=${() => (this.chosen = index)}>
      <th scope="row"><a class="handle" href=${studyPath(study.handle)}>${study.handle}</a>
        ${study.priority === "stat" ? html`<span class="tag stat">STAT</span>` : nothing}</th>
      <td>${exam(study)} <span class="dim">${images(study.instances)}</span>${study.part ? html` <span class="tag part">read in part${Object.keys(study.by_model).length > 1 ? nothing : html`: ${study.part}`}</span>` : study.partial ? html` <span class="tag">partial</span>` : nothing}</td>
      <td>${resultOf(study, study.progress)}${modelsOf(study)}</td>
      <td class="why"><span title=${study.why || study.reason}>${study.why || study.reason || "–"}</span></td>
      <td>${waiting(study, study.review, now)}</td>
      <td><span class="state ${study.review.replace(" ", "-")}">${study.review}</span>${study.readers.length ? html` <span class="tag readers">reading: ${study.readers.join(", ")}</span>` : nothing}</td>
      <td class="dim">${clinic}</td>
    </tr>`;
  }

  private empty(): TemplateResult {
    if (this.failure) return html``;
    const filtered = [...this.filters.keys()].length > 0;
    return html`<div class="empty"><p class="big">${filtered ? "No study matches these filters" : "Nothing is waiting"}</p>
      <p class="dim">${filtered ? html`<button @click=${() => this.clear()}>Show all</button>` : "New studies appear here by themselves."}</p></div>`;
  }

  private clear(): void {
    history.replaceState(null, "", "/");
    this.etag = "";
    void this.look();
  }
}

/** Those of everyday, those that are listed, and the one that the address asks for. */
function modalities(listed: StudyLine[], asked: string | null): string[] {
  return [...new Set([...MODALITIES, ...listed.map((s) => s.modality), asked ?? ""])].filter(Boolean).sort();
}
