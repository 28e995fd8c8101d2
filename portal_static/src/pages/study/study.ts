import { html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";

import { studyOf, studyPath } from "../../address.js";
import type {
  Finding,
  ImageSeries,
  Masks,
  PriorLine,
  ReviewEvent,
  StudyDetail,
  StudyImages,
  StudyList,
  ToldInput,
} from "../../../generated/api-types.js";
import { Problem } from "../../api.js";
import { clock, exam, images } from "../../format.js";
import { Page, go, isUndo, typing } from "../../page.js";
import { imagesOf } from "../../pictures.js";
import { POLL_MS, resultOf, unanswered, waiting } from "../../study-line.js";
import type { Drawn } from "../../viewer/viewer.js";
import { absent } from "./absent.js";
import { keyOf, type Images } from "./images.js";
import {
  communicationSection,
  costs,
  findingsSection,
  measuredSection,
  missedSection,
  priorsSection,
  provenance,
  resultSection,
  timelineSection,
  type FindingsView,
} from "./panel.js";
import { copy, findingText, studyText } from "./report.js";
import { entryForm, type Entry, type Form } from "./review-forms.js";
import { signDialog, signTitle, type Unsaved } from "./signing.js";
import "../../parts/deid-report.js";
import "../../parts/identity.js";
import "../../parts/readers.js";
import "./images.js";

const NO_SCALE = "Not saved: the image has no single scale that holds for all of its pixels, so this measurement could be wrong.";
const FIRST_IMAGE_MS = 800;

@customElement("rf-study")
export class StudyPage extends Page {
  /** The study's handle, or its token where an older address led here. */
  @property() token = "";
  @state() private detail: StudyDetail | undefined;
  @state() private series: ImageSeries[] = [];
  @state() private hiddenFindings: ReadonlySet<string> = new Set();
  @state() private finding = "";
  @state() private form: Form = "";
  @state() private saved = "";
  @state() private keyImage = "";
  /** Of the answer in place of the study; 0: there was none. */
  @state() private status = 0;
  /** What is drawn and not saved, while the sign-off asks. */
  @state() private signing: Drawn[] | undefined;
  @state() private prior: PriorLine | undefined;
  @state() private masks: Masks["findings"] = {};
  private etag = "";
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
    URL.revokeObjectURL(this.keyImage);
  }

  /** Everything that the first look needs is asked for at once. The viewer's code begins when the first image is there:
   *  starting it keeps the page busy, and the image would wait for it. */
  private async open(): Promise<void> {
    const first = this.api.picture(`/studies/${this.token}/key-image`).then(
      (url) => (this.keyImage = url),
      () => undefined,
    );
    const code = Promise.race([first, new Promise((late) => setTimeout(late, FIRST_IMAGE_MS))]).then(
      () => import("../../viewer/viewer.js"),
    );
    code.catch(() => undefined);
    const images = this.api.get<StudyImages>(`/studies/${this.token}/images`);
    // Without the segmented pixels the findings' boxes are painted: the images are shown all the same.
    const masks = this.api.get<Masks>(`/studies/${this.token}/masks`).catch(() => ({ findings: {} }));
    images.catch(() => undefined);
    const there = await this.attempt(() => this.reload().catch((error: unknown) => this.absent(error)));
    if (!there) return;
    document.title = `${this.detail?.study.handle}: Readfirst`;
    this.nameInAddress();
    if (this.detail?.progress || (this.detail && unanswered(this.detail.study))) this.timer = setInterval(() => void this.look(), POLL_MS);
    await this.attempt(async () => {
      this.series = (await images).series.filter((s) => imagesOf(s).length);
      this.masks = (await masks).findings;
      await this.updateComplete;
      await this.images.updateComplete;
      const found = this.detail?.study.findings ?? [];
      const finding = found.find((f) => f.key === this.detail?.first) ?? found[0];
      const series = this.series.find((s) => s.series_uid === finding?.series_uid) ?? this.series[0];
      if (!series) return;
      this.finding = finding?.key ?? "";
      await this.images.open(await code, series, finding);
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
    if (this.isConnected && studyOf(location.pathname) && location.pathname !== path)
      history.replaceState(null, "", path + location.search);
  }

  /** While models work, the study's line is asked for as the worklist asks: an opened study is audited, its line is not. */
  private async look(): Promise<void> {
    const study = this.detail?.study;
    if (document.visibilityState !== "visible" || !study) return;
    const lines = await this.api.get<StudyList>(`/studies?handle=${study.handle}&purpose=${study.purpose}`).catch(() => undefined);
    const line = lines?.items.find((s) => s.id === study.id);
    if (!line || !this.isConnected) return; // asked again soon
    if (line.progress) {
      this.detail = { ...this.detail!, progress: line.progress };
      return;
    }
    const news = line.updated !== study.updated || !unanswered(line); // of one model at least
    if (news && (await this.attempt(() => this.arrived())) && !unanswered(line)) clearInterval(this.timer); // else asked again
  }

  /** The result is there: its findings, its overlay and its pictures come to what is looked at already. */
  private async arrived(): Promise<void> {
    await this.reload();
    const [images, masks] = await Promise.all([
      this.api.get<StudyImages>(`/studies/${this.token}/images`),
      this.api.get<Masks>(`/studies/${this.token}/masks`),
    ]);
    this.series = images.series.filter((s) => imagesOf(s).length);
    this.masks = masks.findings;
    this.saved = `${unanswered(this.detail!.study) ? "A model has answered, others are at work" : "The analysis is over"}: its result is here.`;
  }

  private get images(): Images {
    return this.querySelector<Images>("rf-images")!;
  }

  private async reload(): Promise<void> {
    const answer = await this.api.tagged<StudyDetail>(`/studies/${this.token}`);
    this.detail = answer.body;
    this.etag = answer.etag;
  }

  private goTo(finding: Finding): void {
    this.finding = finding.key;
    this.images.goTo(finding);
  }

  private step(by: number): void {
    const findings = this.detail?.study.findings ?? [];
    const index = findings.findIndex((f) => f.key === this.finding);
    const next = findings[(index + by + findings.length) % findings.length];
    if (next) this.goTo(next);
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Escape") this.form = "";
    if (isUndo(event)) return this.undo(event);
    if (typing(event) || !this.detail) return;
    const review = this.may("study_review");
    const actions: Record<string, () => void> = {
      ...this.querySelector<Images>("rf-images")?.keys,
      n: () => this.step(1),
      p: () => this.step(-1),
      u: () => go("/"),
      ...(review && {
        a: () => void this.judge("accept"),
        x: () => void this.judge("reject"),
        c: () => this.openForm("correct"),
        m: () => this.openForm("missed"),
        s: () => this.askToSign(),
      }),
    };
    const action = actions[event.key];
    if (!action || (event.target as HTMLElement).matches("input[type=range]")) return;
    event.preventDefault();
    action();
  }

  private undo(event: KeyboardEvent): void {
    event.preventDefault();
    this.querySelector<Images>("rf-images")?.viewer?.undo(event.shiftKey);
  }

  private openForm(form: Form): void {
    this.form = form;
    void this.updateComplete.then(() =>
      this.querySelector<HTMLElement>("form.entry input, form.entry textarea, form.entry select")?.focus(),
    );
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
    if (!this.detail)
      return this.loading
        ? html`<section class="sheet">${this.skeleton()}</section>`
        : absent(this.token, this.status, this.failed(), this.me.name, this.may("studies"));
    const { detail } = this;
    return html`<div class="study">
      ${this.heading()}
      <rf-images class="stage" .api=${this.api} .me=${this.me} .detail=${detail} .series=${this.series} .masks=${this.masks} .finding=${this.finding} .hiddenFindings=${this.hiddenFindings}
        .prior=${this.prior} .first=${this.keyImage} .waiting=${this.loading} @moved=${() => this.form === "missed" && this.requestUpdate()} @beside=${(e: CustomEvent<PriorLine | undefined>) => (this.prior = e.detail)}></rf-images>
      <aside class="panel" aria-label="Result and review">${this.failed()}
        <div role="status" aria-live="polite">${this.saved ? html`<p class="notice good">${this.saved}</p>` : nothing}</div>
        ${resultSection(detail)} ${findingsSection(detail, this.findingsView())} ${missedSection(detail)} ${measuredSection(detail)} ${entryForm(this.form, this.entry())} ${this.actions()}
        ${priorsSection(detail, this.prior, (prior) => (this.prior = prior))} ${communicationSection(detail)} ${timelineSection(detail)} ${costs(detail)} ${provenance(detail, this.report())}
      </aside>
      <dialog id="picture" aria-label="Key image"><img alt="The finding, outlined and enlarged" /><form method="dialog"><button>Close</button></form></dialog>
      <dialog id="text" aria-labelledby="text-title"><h2 id="text-title">Copy this text</h2><textarea readonly rows="14" aria-labelledby="text-title"></textarea><form method="dialog"><button>Close</button></form></dialog>
      ${
        this.signing
          ? signDialog(
              detail,
              this.signing,
              this.failed(),
              (unsaved) => void this.sign(unsaved),
              () => (this.signing = undefined),
            )
          : nothing
      }
    </div>`;
  }

  private heading(): TemplateResult {
    const { study, review } = this.detail!;
    return html`<div class="head">
      <a class="back" href="/" title="Worklist (u)" aria-label="Back to the worklist">‹</a>
      <h1><span class="handle">${study.handle}</span></h1>
      <span>${exam(study)} <span class="dim">${images(study.instances)}</span></span>
      ${resultOf(study, this.detail!.progress)}
      ${waiting(study, review.state, Date.now())}
      <span class="state ${review.state.replace(" ", "-")}">${review.state}</span>
      <rf-identity .api=${this.api} .me=${this.me} .token=${study.id}></rf-identity><rf-readers .api=${this.api} .me=${this.me} .token=${study.id}></rf-readers>
    </div>`;
  }

  private findingsView(): FindingsView {
    return {
      chosen: this.finding,
      hidden: this.hiddenFindings,
      reviewable: this.reviewable(),
      sliceOf: (f) => this.sliceOf(f),
      goTo: (f) => this.goTo(f),
      judge: (verdict, key) => void this.judge(verdict, key),
      correct: (f) => {
        this.finding = f.key;
        this.openForm("correct");
      },
      picture: (f) => void this.keyPicture(f),
      hide: (key, hide) => this.hide(key, hide),
      copy: (f) => void this.copy(findingText(f, this.detail!.review.verdicts[f.key], this.sliceOf(f))),
    };
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

  private async copy(text: string): Promise<void> {
    this.saved = "";
    if (await copy(text, this.querySelector<HTMLDialogElement>("#text")!)) this.saved = "Copied.";
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
  }

  private reviewable(): boolean {
    return this.may("study_review") && this.detail!.review.state !== "signed";
  }

  private entry(): Entry {
    return {
      finding: this.detail!.study.findings.find((f) => f.key === this.finding),
      place: this.querySelector<Images>("rf-images")?.place,
      say: (what, done) => void this.say(what, done),
      tell: (told) => void this.saveTold(told),
      cancel: () => (this.form = ""),
    };
  }

  private async saveTold(told: ToldInput): Promise<void> {
    await this.attempt(async () => {
      await this.api.post(`/studies/${this.token}/told`, told);
      this.form = "";
      await this.reload();
      this.saved = "Recorded.";
    });
  }

  /** False where the server refused one: why is on the page, the line still there. */
  private async saveMeasurements(): Promise<boolean> {
    let refused = false;
    for (const { uid, measured } of this.images.viewer?.measurements() ?? []) {
      refused ||= !measured;
      if (!measured) continue;
      if (!(await this.say(measured, "Measurements saved."))) return false;
      this.images.viewer?.forget(uid);
    }
    if (refused) this.failure = NO_SCALE;
    return true;
  }

  private askToSign(): void {
    if (!this.signable()) return;
    this.signing = this.images.viewer?.measurements() ?? [];
    void this.updateComplete.then(() => this.querySelector<HTMLDialogElement>("#signing")?.showModal());
  }

  private async sign(unsaved: Unsaved | null): Promise<void> {
    if (unsaved === "save" && !(await this.saveMeasurements())) return;
    if (!(await this.say({ kind: "signed" }, "Signed."))) return;
    for (const { uid } of this.images.viewer?.measurements() ?? []) this.images.viewer?.forget(uid);
    this.querySelector<HTMLDialogElement>("#signing")?.close();
  }

  private signable(): boolean {
    return this.reviewable() && this.detail!.study.state !== "analysing";
  }

  private actions(): TemplateResult {
    const { review } = this.detail!;
    const open = this.reviewable();
    return html`<section class="actions">
      <div class="row">
        ${open ? html`<button @click=${() => this.openForm("missed")} title="Add a finding (m)">Add missed finding</button><button @click=${() => this.openForm("comment")}>Comment</button><button @click=${() => void this.saveMeasurements()}>Save measurements</button>` : nothing}
        <button @click=${() => void this.copy(studyText(this.detail!, (f) => this.sliceOf(f)))}>Copy text</button>
        ${this.may("study_told") ? html`<button @click=${() => this.openForm("told")}>Record who was notified</button>` : nothing}
        ${this.may("study_review") && review.state === "signed" ? html`<button @click=${() => this.openForm("reopen")}>Re-open</button>` : nothing}
      </div>
      ${review.state === "signed" ? html`<p class="notice good">Signed by ${review.reader_name}, ${clock(review.signed)}</p>` : nothing}
      ${this.signable() ? html`<button class="primary sign" title="Sign off (s)" @click=${() => this.askToSign()}>${signTitle(this.detail!)}…</button>` : nothing}
      <p class="dim small">Not for primary diagnosis: sign-off reviews the AI result, it is not the radiology report.</p>
    </section>`;
  }

  private report(): TemplateResult | typeof nothing {
    return this.may("study_privacy") ? html`<rf-deid .api=${this.api} .me=${this.me} .study=${this.token}></rf-deid>` : nothing;
  }
}
