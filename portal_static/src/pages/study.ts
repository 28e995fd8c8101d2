import { html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { keyed } from "lit/directives/keyed.js";
import { until } from "lit/directives/until.js";

import { studyOf, studyPath } from "../address.js";
import type { Accounting, Finding, ImageSeries, Mask, Missed, Picture, ReviewEvent, StudyDetail, StudyLine, Told, Verdict } from "../api.js";
import { Problem, imagesOf } from "../api.js";
import { CATEGORY, ago, clock, dollars, exam, percent, seconds } from "../format.js";
import { Page, go, typing } from "../page.js";
import type { Prior } from "../prior.js";
import type { Scrubber } from "../scrubber.js";
import type { Tool, Viewer } from "../viewer/viewer.js";
import { POLL_MS, labelOf, resultOf, waiting } from "./worklist.js";
import "../deid.js";
import "../identity.js";
import "../prior.js";
import "../scrubber.js";

const TOOLS: [Tool, string, string][] = [
  ["window", "Window", "w"],
  ["pan", "Pan", "g"],
  ["zoom", "Zoom", "z"],
  ["length", "Length", "l"],
  ["ellipse", "Ellipse", "e"],
];
export const PRESETS: [string, number, number][] = [
  ["Lung", -600, 1500],
  ["Soft tissue", 40, 400],
  ["Bone", 500, 2000],
];
const NO_SCALE = "Not saved: the image has no single scale that holds for all of its pixels, so this measurement could be wrong.";
const FIRST_IMAGE_MS = 800;
const ADVICE: Record<number, string> = {
  403: "Your role does not include reading studies. Sign out and in again as somebody who reads, or ask whoever looks after your access.",
  404: "No study of your clinics has this address: it may be of another clinic, or have been erased. Compare the eight characters of the handle; if they are right, ask whoever looks after your access.",
};
const STAGE: Record<string, string> = { receive: "Files arrived", settle: "Waited for the whole study", deidentify: "De-identified", analyse: "Analysed", report: "Reported", alert: "Alert handed over", return: "Results returned" };

/** Codes of readfirst/domain/intake/person.py. */
const DISAGREE: Record<string, string> = {
  "patient-id": "the patient ID differs",
  "patient-id-missing": "the patient ID is missing in some",
  "patient-id-spelling": "the patient ID is written in several ways",
  issuer: "the issuer of the ID differs or is missing in some",
  name: "the name differs",
  "name-missing": "the name is missing in some",
  "birth-date": "the birth date differs",
  "birth-date-missing": "the birth date is missing in some",
  sex: "the sex differs",
};

@customElement("rf-study")
export class StudyPage extends Page {
  /** The study's handle, or its token where an older address led here. */
  @property() token = "";
  @state() private detail: StudyDetail | undefined;
  @state() private series: ImageSeries[] = [];
  @state() private shown = "";
  @state() private tool: Tool = "window";
  @state() private overlay = true;
  @state() private opacity = 0.5;
  @state() private hiddenFindings: ReadonlySet<string> = new Set();
  @state() private finding = "";
  @state() private form: "" | "missed" | "told" | "correct" | "reopen" | "comment" = "";
  @state() private saved = "";
  @state() private keyImage = "";
  @state() private drawn = false;
  /** Of the answer in place of the study; 0: there was none. */
  @state() private status = 0;
  @state() private prior: StudyDetail["priors"][number] | undefined;
  /** Not drawn by this page: at thirty slices a second, only what shows the place is touched. */
  private slice = 0;
  private masks: Record<string, Mask> = {};
  private readonly small = new Map<string, Promise<TemplateResult | string>>();
  private readonly pictures: string[] = [];
  private etag = "";
  private viewer: Viewer | undefined;
  private timer = 0;
  private readonly onKey = (event: KeyboardEvent): void => this.key(event);

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener("keydown", this.onKey);
  }

  protected override begin(): void {
    void this.open();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener("keydown", this.onKey);
    clearInterval(this.timer);
    this.viewer?.close();
    URL.revokeObjectURL(this.keyImage);
    this.pictures.forEach((url) => URL.revokeObjectURL(url));
  }

  /** Everything that the first look needs is asked for at once. The viewer's code begins when the first image is there:
   *  starting it keeps the page busy, and the image would wait for it. */
  private async open(): Promise<void> {
    const first = this.api.picture(`/studies/${this.token}/key-image`).then((url) => (this.keyImage = url), () => undefined);
    const code = Promise.race([first, new Promise((late) => setTimeout(late, FIRST_IMAGE_MS))]).then(() => import("../viewer/viewer.js"));
    code.catch(() => undefined);
    const images = this.api.get<{ series: ImageSeries[] }>(`/studies/${this.token}/images`);
    // Without the segmented pixels the findings' boxes are painted: the images are shown all the same.
    const masks = this.api.get<{ findings: Record<string, Mask> }>(`/studies/${this.token}/masks`).catch(() => ({ findings: {} }));
    images.catch(() => undefined);
    const there = await this.attempt(() => this.reload().catch((error: unknown) => this.absent(error)));
    if (!there) return;
    document.title = `${this.detail?.study.handle}: Readfirst`;
    this.nameInAddress();
    if (this.detail?.progress) this.timer = setInterval(() => void this.look(), POLL_MS);
    await this.attempt(async () => {
      this.series = (await images).series.filter((s) => imagesOf(s).length);
      this.masks = (await masks).findings;
      this.overlay = this.detail?.study.provenance?.model?.intended_use !== "triage" || this.overlay;
      await this.updateComplete;
      const found = this.detail?.study.findings ?? [];
      const finding = found.find((f) => f.key === this.detail?.first) ?? found[0];
      const series = this.series.find((s) => s.series_uid === finding?.series_uid) ?? this.series[0];
      if (!series) return;
      const { Viewer } = await code;
      this.viewer = await Viewer.open(this.querySelector<HTMLDivElement>(".viewport")!, {
        slice: (index) => this.moved(index),
        loaded: (count) => (this.scrubber.loaded = count),
        drawn: () => (this.drawn = true),
      });
      await this.show(series, finding);
    });
  }

  /** Keeps why there is nothing to show, for the page that says so. */
  private absent(error: unknown): never {
    this.status = error instanceof Problem ? error.status : 0;
    throw error;
  }

  /** An older address, or a handle in small letters, becomes the one that is given away. */
  private nameInAddress(): void {
    const path = studyPath(this.detail!.study.handle);
    if (this.isConnected && studyOf(location.pathname) && location.pathname !== path) history.replaceState(null, "", path + location.search);
  }

  /** While the study is analysed, its line of the worklist is asked for as the worklist asks: an opened study goes into
   *  the audit log, its line does not. */
  private async look(): Promise<void> {
    const study = this.detail?.study;
    if (document.visibilityState !== "visible" || !study) return;
    const lines = await this.api.get<{ items: StudyLine[] }>(`/studies?handle=${study.handle}&purpose=${study.purpose}`).catch(() => undefined);
    const line = lines?.items.find((s) => s.id === study.id);
    if (!line || !this.isConnected) return; // asked again soon
    if (line.progress) {
      this.detail = { ...this.detail!, progress: line.progress };
      return;
    }
    if (await this.attempt(() => this.arrived())) clearInterval(this.timer); // else it is asked for again
  }

  /** The result is there: its findings, its overlay and its pictures come to what is looked at already. */
  private async arrived(): Promise<void> {
    await this.reload();
    const [images, masks] = await Promise.all([
      this.api.get<{ series: ImageSeries[] }>(`/studies/${this.token}/images`),
      this.api.get<{ findings: Record<string, Mask> }>(`/studies/${this.token}/masks`),
    ]);
    this.series = images.series.filter((s) => imagesOf(s).length);
    this.masks = masks.findings;
    this.paintOverlay();
    this.saved = "The analysis is over: its result is here.";
  }

  private get scrubber(): Scrubber {
    return this.querySelector<Scrubber>("rf-scrubber")!;
  }

  private moved(index: number): void {
    this.slice = index;
    this.tellPlace();
    this.querySelector<Prior>("rf-prior")?.follow(index);
    if (this.form === "missed") this.requestUpdate(); // its title names the slice
  }

  private tellPlace(): void {
    const scrubber = this.querySelector<Scrubber>("rf-scrubber");
    const count = this.images.length;
    if (!scrubber || !count) return;
    scrubber.slice = this.slice;
    this.querySelector(".frame.main .slice")!.textContent = `${this.slice + 1} / ${count}`;
    this.querySelector(".frame.main .viewport")!.setAttribute("aria-label", `Slice ${this.slice + 1} of ${count}`);
  }

  protected override updated(): void {
    this.tellPlace();
  }

  private window(centre: number, width: number): void {
    this.viewer?.window(centre, width);
    this.querySelector<Prior>("rf-prior")?.window(centre, width);
  }

  private async reload(): Promise<void> {
    const answer = await this.api.tagged<StudyDetail>(`/studies/${this.token}`);
    this.detail = answer.body;
    this.etag = answer.etag;
  }

  private async show(series: ImageSeries, finding?: Finding): Promise<void> {
    this.shown = series.series_uid;
    const images = imagesOf(series);
    this.scrubber.loaded = 0;
    const at = images.findIndex((i) => i.key === keyOf(finding));
    this.finding = finding?.key ?? this.finding;
    this.paintOverlay();
    await this.viewer?.show(images, at >= 0 ? at : Math.floor(images.length / 2));
    if (this.chest) this.viewer?.window(PRESETS[0]![1], PRESETS[0]![2]);
    this.paintOverlay();
  }

  private get chest(): boolean {
    return this.current?.modality === "CT" && this.detail?.study.body_part.toUpperCase() === "CHEST";
  }

  private get current(): ImageSeries | undefined {
    return this.series.find((s) => s.series_uid === this.shown);
  }

  private get images(): Picture[] {
    return this.current ? imagesOf(this.current) : [];
  }

  private paintOverlay(): void {
    const findings = this.detail?.study.findings ?? [];
    this.viewer?.overlay(
      this.overlay
        ? findings
            .filter((f) => placed(f) && !this.hiddenFindings.has(f.key) && f.series_uid === this.shown)
            .map((f) => ({ mask: this.masks[f.key] ?? {}, box: f.box, at: keyOf(f), chosen: f.key === this.finding }))
        : [],
      this.opacity,
    );
  }

  private goTo(finding: Finding): void {
    this.finding = finding.key;
    const series = this.series.find((s) => s.series_uid === finding.series_uid);
    if (!series) return;
    if (series.series_uid !== this.shown) void this.show(series, finding);
    else this.viewer?.goTo(this.images.findIndex((i) => i.key === keyOf(finding)));
    this.paintOverlay();
  }

  private step(by: number): void {
    const findings = this.detail?.study.findings ?? [];
    const index = findings.findIndex((f) => f.key === this.finding);
    const next = findings[(index + by + findings.length) % findings.length];
    if (next) this.goTo(next);
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Escape") this.form = "";
    if (typing(event) || !this.detail) return;
    const review = this.may("study_review");
    const actions: Record<string, () => void> = {
      j: () => this.viewer?.scroll(1),
      ArrowDown: () => this.viewer?.scroll(1),
      k: () => this.viewer?.scroll(-1),
      ArrowUp: () => this.viewer?.scroll(-1),
      n: () => this.step(1),
      p: () => this.step(-1),
      h: () => this.toggleOverlay(),
      b: () => this.beside(this.prior ? undefined : this.detail?.priors[0]),
      u: () => go("/"),
      ...Object.fromEntries(TOOLS.map(([tool, , key]) => [key, () => this.use(tool)])),
      ...Object.fromEntries(PRESETS.map(([, centre, width], i) => [String(i + 1), () => this.window(centre, width)])),
      ...(review && {
        a: () => void this.judge("accept"),
        x: () => void this.judge("reject"),
        c: () => this.openForm("correct"),
        m: () => this.openForm("missed"),
        s: () => void this.say({ kind: "signed" }, "Signed."),
      }),
    };
    const action = actions[event.key];
    if (!action || (event.target as HTMLElement).matches("input[type=range]")) return;
    event.preventDefault();
    action();
  }

  private openForm(form: typeof this.form): void {
    this.form = form;
    void this.updateComplete.then(() => this.querySelector<HTMLElement>("form.entry input, form.entry textarea, form.entry select")?.focus());
  }

  private use(tool: Tool): void {
    this.tool = tool;
    this.viewer?.use(tool);
  }

  private toggleOverlay(): void {
    this.overlay = !this.overlay;
    this.paintOverlay();
  }

  private async judge(verdict: "accept" | "reject", key = this.finding): Promise<void> {
    if (key) await this.say({ kind: "verdict", finding: key, verdict }, verdict === "accept" ? "Accepted." : "Rejected.");
  }

  /** Appends to the review as it was last seen. Another's change in between is a conflict: the page shows theirs. */
  private async say(what: ReviewEvent, done: string): Promise<boolean> {
    this.saved = "";
    return this.attempt(async () => {
      try {
        await this.api.post(`/studies/${this.token}/review`, { what }, { "If-Match": this.etag });
      } catch (error) {
        if (error instanceof Problem && error.status === 412) await this.reload();
        throw error;
      }
      this.form = "";
      await this.reload();
      this.saved = done;
    });
  }

  protected override render(): TemplateResult {
    if (!this.detail) return this.loading ? html`<section class="sheet">${this.skeleton()}</section>` : this.instead();
    return html`<div class="study">
      ${this.heading()}
      <div class="stage">${this.thumbnails()}${this.stage()}</div>
      <aside class="panel" aria-label="Result and review">${this.failed()}
        <div role="status" aria-live="polite">${this.saved ? html`<p class="notice good">${this.saved}</p>` : nothing}</div>
        ${this.result()} ${this.findings()} ${this.missedList()} ${this.entry()} ${this.actions()} ${this.priors()} ${this.communication()} ${this.timeline()} ${this.costs()} ${this.provenance()}
      </aside>
      <dialog id="picture" aria-label="Key image"><img alt="The finding, outlined and enlarged" /><form method="dialog"><button>Close</button></form></dialog>
    </div>`;
  }

  /** Instead of the study: what is wrong, and what to do about it. */
  private instead(): TemplateResult {
    const name = this.token.length === 8 ? html` <span class="handle">${this.token}</span>` : nothing;
    return html`<section class="sheet"><h1>Study${name} cannot be shown</h1>
      ${this.failed()}${ADVICE[this.status] ? html`<p>${ADVICE[this.status]}</p>` : html`<p><a href=${location.pathname} target="_self">Try again</a></p>`}
      <p class="dim">You are signed in as ${this.me.name}.</p>
      ${this.may("studies") ? html`<p><a href="/">Back to the worklist</a></p>` : nothing}</section>`;
  }

  private heading(): TemplateResult {
    const { study, review } = this.detail!;
    return html`<div class="head">
      <a class="back" href="/" title="Worklist (u)" aria-label="Back to the worklist">‹</a>
      <h1><span class="handle">${study.handle}</span></h1>
      <span>${exam(study)} <span class="dim">${study.instances} images</span></span>
      ${resultOf(study, this.detail!.progress)}
      ${waiting(study, Date.now())}
      <span class="state ${review.state.replace(" ", "-")}">${review.state}</span>
      <rf-identity .api=${this.api} .me=${this.me} .token=${study.id}></rf-identity>
    </div>`;
  }

  private thumbnails(): TemplateResult {
    return html`<nav class="thumbs" aria-label="Series">
      ${this.series.map((s) => html`<button aria-pressed=${s.series_uid === this.shown} @click=${() => void this.show(s)}>
        ${until(this.thumbnail(s), html`<span class="dim small">…</span>`)}
        <b>${s.modality}${s.number === null ? "" : ` ${s.number}`}</b><span>${s.description || "Series"}</span><span class="dim">${count(s.instances.length)}</span></button>`)}
    </nav>`;
  }

  /** A small picture of the series, asked for once. */
  private thumbnail(series: ImageSeries): Promise<TemplateResult | string> {
    const path = `/dicomweb/studies/${this.detail!.study.study_uid}/series/${series.series_uid}/thumbnail`;
    const shown = (url: string): TemplateResult => {
      this.pictures.push(url);
      return html`<img src=${url} alt="" />`;
    };
    const asked = this.small.get(series.series_uid) ?? this.api.picture(path).then(shown, () => "");
    this.small.set(series.series_uid, asked);
    return asked;
  }

  private stage(): TemplateResult {
    const images = this.images;
    return html`<section class="viewer" aria-label="Images">
      <div class="tools" role="toolbar" aria-label="Viewer">
        ${TOOLS.map(([tool, title, key]) => html`<button aria-pressed=${this.tool === tool} title="${title} (${key})" @click=${() => this.use(tool)}>${title}</button>`)}
        <span class="gap"></span>
        ${PRESETS.map(([title, centre, width], i) => html`<button title="${title} (${i + 1})" @click=${() => this.window(centre, width)}>${title}</button>`)}
        <span class="gap"></span>
        <button aria-pressed=${this.overlay} title="AI overlay (h)" @click=${() => this.toggleOverlay()}>AI overlay</button>
        <label class="opacity"><span class="hidden">Overlay opacity</span>
          <input type="range" min="0.1" max="1" step="0.05" .value=${String(this.opacity)} @input=${(e: Event) => this.setOpacity(Number((e.target as HTMLInputElement).value))} /></label>
        <button title="Fit the image" @click=${() => this.viewer?.reset()}>Reset</button>
      </div>
      <div class="viewports ${this.prior ? "two" : ""}">
        <div class="frame main">
          <div class="viewport" tabindex="0" role="img" aria-label="Images of the study"></div>
          ${this.drawn || !this.keyImage ? nothing : html`<img class="first" src=${this.keyImage} alt="The slice that matters most" />`}
          <p class="corner top">SYNTHETIC: NOT FOR DIAGNOSIS</p>
          <p class="corner bottom"><span class="slice"></span>${images.length || this.loading || this.shown ? "" : "No image"}</p>
        </div>
        ${this.prior ? keyed(this.prior.id, html`<rf-prior .api=${this.api} .me=${this.me} .prior=${this.prior} .beside=${this.current} @closed=${() => this.beside(undefined)} @shown=${(e: Event) => this.joined(e.target as Prior)}></rf-prior>`) : nothing}
      </div>
      <rf-scrubber .total=${images.length} @go=${(e: CustomEvent<number>) => this.viewer?.goTo(e.detail)}></rf-scrubber>
    </section>`;
  }

  private setOpacity(value: number): void {
    this.opacity = value;
    this.paintOverlay();
  }

  private result(): TemplateResult {
    const { study, review } = this.detail!;
    const model = study.provenance?.model;
    return html`<section>
      <h2>AI result</h2>
      <p>${study.state === "analysing" ? html`<span class="dim">Nothing is known yet: read as usual. The result comes to this page by itself.</span>` : labelOf(study)}</p>
      ${study.why ? html`<p>${study.why}</p>` : nothing}
      ${study.reason ? html`<p>${study.reason}</p>` : nothing}
      ${study.label === "NOT ANALYSED: read as usual" ? nothing : html`<p class="risk"><span>Risk</span><meter min="0" max="1" low="0.3" high="0.6" .value=${study.risk} aria-label="Risk"></meter><b>${percent(study.risk)}</b></p>`}
      ${review.superseded ? html`<p class="notice urgent">A newer result came after the sign-off. Look again, please.</p>` : nothing}
      ${study.disagree?.length ? html`<p class="notice">The files of this study do not agree about the patient: ${study.disagree.map((what) => DISAGREE[what] ?? what).join(", ")}.</p>` : nothing}
      ${study.copies ? html`<p class="dim">${study.copies} ${study.copies === 1 ? "file" : "files"} came twice, identical: counted once.</p>` : nothing}
      ${study.part ? html`<p class="notice urgent">Read in part: ${study.part}. What was not read may hold findings.</p>` : study.partial ? html`<p class="notice">Some files of this study were refused: it is not complete.</p>` : nothing}
      ${study.accounting ? this.books(study.accounting) : nothing}
      ${model ? html`<p class="dim"><a href="/about">${model.name} ${model.version}</a>: ${model.disclaimer}</p>` : nothing}
    </section>`;
  }

  /** What became of every file and frame: two sums, each with its reasons. */
  private books(all: Accounting): TemplateResult {
    const row = (what: string, count: number): TemplateResult | typeof nothing => (count ? html`<div><dt>${what}</dt><dd>${count}</dd></div>` : nothing);
    const rows = (what: string, counts: Record<string, number>): (TemplateResult | typeof nothing)[] =>
      Object.entries(counts).sort().map(([reason, count]) => row(`${what}: ${reason.replaceAll("-", " ")}`, count));
    return html`<details class="books"><summary>${all.received} files received, ${all.read} read</summary>
      <dl class="facts">
        ${row("Files received", all.received)}${row("Read", all.read)}${rows("Left out", all.left_out)}${rows("Refused", all.refused)}${rows("Skipped", all.skipped)}${row("Identical copies", all.identical)}
        ${row("Frames in the files read", all.frames)}${row("Analysed", all.analysed)}${rows("Frames left out", all.frames_left_out)}
      </dl>
      ${all.unsaid.length ? html`<p class="dim">The header does not say: ${all.unsaid.join(", ")}. The pictures themselves had to decide.</p>` : nothing}
    </details>`;
  }

  private findings(): TemplateResult | typeof nothing {
    const { study, review } = this.detail!;
    if (!study.findings.length) return nothing;
    return html`<section>
      <h2>Findings of the AI</h2>
      <ol class="findings">${study.findings.map((f) => this.findingCard(f, review.verdicts[f.key]))}</ol>
    </section>`;
  }

  private findingCard(f: Finding, verdict: Verdict | undefined): TemplateResult {
    const chosen = f.key === this.finding;
    const hidden = this.hiddenFindings.has(f.key);
    const [size, category] = [verdict?.diameter_mm ?? f.diameter_mm, verdict?.category ?? f.category];
    return html`<li class=${chosen ? "chosen" : ""}>
      <button class="title" aria-pressed=${chosen} @click=${() => this.goTo(f)}>${f.concept.meaning}<span class="dim">${verdict?.site || f.site}</span></button>
      <p>${size ? html`<b>${size.toFixed(1)} mm</b> · slice ${this.sliceOf(f)} · ` : nothing}${percent(f.probability)} · communicate ${CATEGORY[category]}</p>
      ${verdict ? html`<p class="verdict ${verdict.verdict}">${{ accept: "Accepted", reject: "Rejected", correct: "Corrected" }[verdict.verdict]}${verdict.comment ? html`: <q>${verdict.comment}</q>` : nothing}</p>` : nothing}
      <div class="row">
        ${this.reviewable() ? html`<button @click=${() => void this.judge("accept", f.key)}>Accept</button><button @click=${() => void this.judge("reject", f.key)}>Reject</button>
        <button @click=${() => { this.finding = f.key; this.openForm("correct"); }}>Correct</button>` : nothing}
        ${f.overlay ? html`<button @click=${() => void this.keyPicture(f)}>Key image</button>` : nothing}
        ${placed(f) ? html`<label class="check"><input type="checkbox" .checked=${!hidden} @change=${() => this.hide(f.key, !hidden)} />Overlay</label>` : nothing}
      </div>
    </li>`;
  }

  /** The picture that the job drew of the finding, in a dialog. */
  private async keyPicture(f: Finding): Promise<void> {
    await this.attempt(async () => {
      const picture = await this.api.picture(`/studies/${this.token}/overlays/${encodeURIComponent(f.key)}`);
      const dialog = this.querySelector<HTMLDialogElement>("#picture")!;
      const image = dialog.querySelector("img")!;
      image.src = picture;
      dialog.addEventListener("close", () => URL.revokeObjectURL(picture), { once: true });
      dialog.showModal();
    });
  }

  private sliceOf(f: Finding): number {
    const series = this.series.find((s) => s.series_uid === f.series_uid);
    const index = series ? imagesOf(series).findIndex((i) => i.key === keyOf(f)) : -1;
    return (index >= 0 ? index : f.slice) + 1;
  }

  private hide(key: string, hide: boolean): void {
    const hidden = new Set(this.hiddenFindings);
    if (hide) hidden.add(key);
    else hidden.delete(key);
    this.hiddenFindings = hidden;
    this.paintOverlay();
  }

  private reviewable(): boolean {
    return this.may("study_review") && this.detail!.review.state !== "signed";
  }

  private missedList(): TemplateResult | typeof nothing {
    const { missed } = this.detail!.review;
    if (!missed.length) return nothing;
    return html`<section><h2>Added by the reader</h2><ol class="findings">${missed.map((m) => html`<li><b>${m.what}</b><p>${m.site} ${m.diameter_mm ? html`· ${m.diameter_mm} mm` : nothing} · slice ${m.slice + 1} · communicate ${CATEGORY[m.category]}</p>${m.comment ? html`<q>${m.comment}</q>` : nothing}</li>`)}</ol></section>`;
  }

  private entry(): TemplateResult | typeof nothing {
    const cancel = html`<button type="button" @click=${() => (this.form = "")}>Cancel</button>`;
    const category = (chosen: number): TemplateResult => html`<label class="field"><span>To be communicated</span><select name="category">${([1, 2, 3] as const).map((c) => html`<option value=${c} ?selected=${c === chosen}>${CATEGORY[c]}</option>`)}</select></label>`;
    const size = (mm?: number): TemplateResult => html`<label class="field"><span>Diameter, mm</span><input name="diameter_mm" type="number" min="0.1" max="999" step="0.1" .value=${mm ? String(mm) : ""} /></label>`;
    const comment = html`<label class="field wide"><span>Comment</span><textarea name="comment" maxlength="2000" rows="2"></textarea></label>`;
    const text = (name: string, title: string, value = "", required = false): TemplateResult => html`<label class="field"><span>${title}</span><input name=${name} maxlength="200" .value=${value} ?required=${required} /></label>`;
    const form = (title: string, fields: TemplateResult, submit: (data: FormData) => void): TemplateResult => html`<form class="entry" aria-label=${title} @submit=${(e: SubmitEvent) => { e.preventDefault(); submit(new FormData(e.target as HTMLFormElement)); }}>
      <h3>${title}</h3>${fields}<div class="row"><button class="primary">Save</button>${cancel}</div></form>`;
    const finding = this.detail!.study.findings.find((f) => f.key === this.finding);
    switch (this.form) {
      case "correct":
        return finding ? form(`Correct: ${finding.concept.meaning}`, html`${size(finding.diameter_mm)}${category(finding.category)}${text("site", "Place", finding.site)}${comment}`, (d) => this.saveCorrection(finding, d)) : nothing;
      case "missed":
        return form(`Finding that the AI missed, on slice ${this.slice + 1}`, html`${text("what", "What it is", "", true)}${text("site", "Place")}${size()}${category(2)}${comment}`, (d) => this.saveMissed(d));
      case "told":
        return form("Who was told", html`${text("who", "Who (role, never the patient)", "", true)}<label class="field"><span>How</span><select name="how"><option>telephone</option><option>in person</option><option>secure message</option></select></label>
          <label class="field"><span>When</span><input name="when" type="datetime-local" required .value=${localNow()} max=${localNow()} /></label>
          <label class="check"><input type="checkbox" name="read_back" />They read it back to me</label><label class="field wide"><span>Note</span><textarea name="note" maxlength="2000" rows="2"></textarea></label>`, (d) => void this.saveTold(d));
      case "reopen":
        return form("Re-open the review", html`<label class="field wide"><span>Reason</span><textarea name="reason" required minlength="3" maxlength="2000" rows="2"></textarea></label>`, (d) => void this.say({ kind: "reopened", reason: String(d.get("reason")) }, "Re-opened."));
      case "comment":
        return form("Comment", html`<label class="field wide"><span>Text (do not name the patient)</span><textarea name="text" required maxlength="2000" rows="3"></textarea></label>`, (d) => void this.say({ kind: "commented", text: String(d.get("text")) }, "Comment saved."));
      default:
        return nothing;
    }
  }

  private saveCorrection(finding: Finding, data: FormData): void {
    const what: Verdict = { kind: "verdict", finding: finding.key, verdict: "correct", site: String(data.get("site")), comment: String(data.get("comment")), category: Number(data.get("category")) as 1 | 2 | 3 };
    if (data.get("diameter_mm")) what.diameter_mm = Number(data.get("diameter_mm"));
    void this.say(what, "Correction saved.");
  }

  private saveMissed(data: FormData): void {
    const image = this.images[this.slice];
    if (!image) return;
    const what: Missed = { kind: "missed", what: String(data.get("what")), site: String(data.get("site")), category: Number(data.get("category")) as 1 | 2 | 3, comment: String(data.get("comment")), series_uid: this.shown, sop_uid: image.sop_uid, slice: this.slice };
    if (data.get("diameter_mm")) what.diameter_mm = Number(data.get("diameter_mm"));
    void this.say(what, "Finding added.");
  }

  private async saveTold(data: FormData): Promise<void> {
    const told: Told = { kind: "told", who: String(data.get("who")), how: String(data.get("how")), when: new Date(String(data.get("when"))).toISOString(), read_back: data.has("read_back"), note: String(data.get("note")) };
    await this.attempt(async () => {
      await this.api.post(`/studies/${this.token}/told`, told);
      this.form = "";
      await this.reload();
      this.saved = "Recorded.";
    });
  }

  private async saveMeasurements(): Promise<void> {
    let refused = false;
    for (const { uid, measured } of this.viewer?.measurements(this.shown) ?? []) {
      refused ||= !measured;
      if (!measured) continue;
      if (!(await this.say(measured, "Measurements saved."))) return; // why is on the page, and the line is still there
      this.viewer?.forget(uid);
    }
    if (refused) this.failure = NO_SCALE;
  }

  private actions(): TemplateResult {
    const { study, review } = this.detail!;
    const open = this.reviewable();
    return html`<section class="actions">
      <div class="row">
        ${open ? html`<button @click=${() => this.openForm("missed")} title="Add a finding (m)">Add missed finding</button><button @click=${() => this.openForm("comment")}>Comment</button><button @click=${() => void this.saveMeasurements()}>Save measurements</button>` : nothing}
        ${this.may("study_told") ? html`<button @click=${() => this.openForm("told")}>Record who was told</button>` : nothing}
        ${this.may("study_review") && review.state === "signed" ? html`<button @click=${() => this.openForm("reopen")}>Re-open</button>` : nothing}
      </div>
      ${review.state === "signed" ? html`<p class="notice good">Signed by ${review.reader_name}, ${clock(review.signed)}</p>` : nothing}
      ${open && study.state !== "analysing" ? html`<button class="primary sign" title="Sign off (s)" @click=${() => void this.say({ kind: "signed" }, "Signed.")}>Sign off the AI result</button>` : nothing}
      <p class="dim small">Not for primary diagnosis: sign-off reviews the AI result, it is not the radiology report.</p>
    </section>`;
  }

  private priors(): TemplateResult | typeof nothing {
    const { priors } = this.detail!;
    if (!priors.length) return nothing;
    return html`<section><h2>Same patient</h2><ul class="plain">${priors.map((p) => html`<li><a class="handle" href=${studyPath(p.handle)} target="_self">${p.handle}</a> ${exam(p)} <span class="dim">${ago(p.days)}</span>
      <button aria-pressed=${this.prior?.id === p.id} title="Beside this one (b)" @click=${() => this.beside(this.prior?.id === p.id ? undefined : p)}>Beside</button></li>`)}</ul></section>`;
  }

  private beside(prior: typeof this.prior): void {
    this.prior = prior;
    void this.updateComplete.then(() => this.querySelector<Prior>("rf-prior")?.follow(this.slice));
  }

  /** A prior that is there begins where this stack stands, in the same window. */
  private joined(prior: Prior): void {
    prior.follow(this.slice);
    if (this.chest) prior.window(PRESETS[0]![1], PRESETS[0]![2]);
  }

  private communication(): TemplateResult | typeof nothing {
    const { study, review, events } = this.detail!;
    const comments = events.filter((e) => e.what.kind === "commented");
    if (!study.alerted && !review.told.length && !comments.length) return nothing;
    return html`<section><h2>Communication</h2><ul class="plain">
      ${study.alerted ? html`<li>Alert sent <span class="dim">${clock(study.alerted)}</span></li>` : nothing}
      ${review.told.map((t) => html`<li>${t.who} told by ${t.how}${t.read_back ? ", read back" : ", not read back"} <span class="dim">${clock(t.when)}</span></li>`)}
      ${comments.map((e) => html`<li><q>${e.what.text}</q> <span class="dim">${e.by_name}, ${clock(e.at)}</span></li>`)}
    </ul></section>`;
  }

  private timeline(): TemplateResult {
    return html`<section><h2>Timeline</h2><ol class="timeline">${this.detail!.timeline.map((step) => html`<li><span>${STAGE[step.what] ?? step.what}${step.by ? html` <span class="dim">${step.by}</span>` : nothing}</span><span class="dim">${step.seconds === null ? clock(step.at) : seconds(step.seconds)}</span></li>`)}</ol></section>`;
  }

  private costs(): TemplateResult {
    const { cost } = this.detail!;
    return html`<details><summary>Cost: about ${dollars(cost.usd)}</summary>
      <p class="dim small">An estimate: this study's files and the job's ${seconds(cost.job_seconds)}, at list prices of ${cost.prices}, profile ${cost.profile}. No bill.</p>
      <dl class="facts money">${cost.lines.slice(0, 6).map((line) => html`<div><dt>${line.what}</dt><dd>${dollars(line.usd)}</dd></div>`)}</dl></details>`;
  }

  private provenance(): TemplateResult | typeof nothing {
    const made = this.detail!.study.provenance;
    if (!made) return nothing;
    return html`<details><summary>Provenance</summary><dl class="facts">
      <div><dt>Readfirst</dt><dd>${made.readfirst}</dd></div><div><dt>De-identification</dt><dd>${made.profile}, engine ${made.engine}, table ${made.table}</dd></div>
      <div><dt>Model</dt><dd>${made.model ? html`${made.model.name} ${made.model.version} <code>${made.model.digest.slice(0, 16)}</code>` : "none"}</dd></div><div><dt>Run</dt><dd><code>${made.run_key.slice(0, 16)}</code></dd></div></dl>
      ${this.may("study_privacy") ? html`<rf-deid .api=${this.api} .me=${this.me} .study=${this.token}></rf-deid>` : nothing}</details>`;
  }
}

/** The picture with a finding's largest section. */
function keyOf(finding: Finding | undefined): string {
  return finding ? (finding.frame ? `${finding.sop_uid}#${finding.frame}` : finding.sop_uid) : "";
}

/** Whether a finding has a place: what a classification says is of the whole picture, and nothing is drawn for it. */
function placed(finding: Finding): boolean {
  return finding.diameter_mm > 0;
}

function count(images: number): string {
  return `${images} ${images === 1 ? "image" : "images"}`;
}

/** This minute, as a field for date and time has it. */
function localNow(): string {
  const now = new Date();
  return new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
