/** The images of a study: its series, the viewer with its tools, the AI's overlay, and a prior beside it. */

import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { keyed } from "lit/directives/keyed.js";

import type { Finding, ImageSeries, Masks, Missed, PriorLine, StudyDetail } from "../../../generated/api-types.js";
import { Page } from "../../page.js";
import type { Prior } from "../../parts/prior.js";
import type { Scrubber } from "../../parts/scrubber.js";
import { imagesOf, type Picture } from "../../pictures.js";
import type { Tool, Viewer } from "../../viewer/viewer.js";
import { onImage, tell, tellMissed } from "./on-image.js";
import "../../parts/prior.js";
import "../../parts/scrubber.js";
import "./thumbnails.js";

const TOOLS: [Tool, string, string][] = [
  ["window", "Window", "w"],
  ["pan", "Pan", "g"],
  ["zoom", "Zoom", "z"],
  ["magnify", "Magnifier", "q"],
  ["length", "Length", "l"],
  ["bidirectional", "Bidirectional", "B"],
  ["ellipse", "Ellipse", "e"],
  ["angle", "Angle", "A"],
  ["arrow", "Arrow", "W"],
];
const PRESETS: [string, number, number][] = [
  ["Lung", -600, 1500],
  ["Soft tissue", 40, 400],
  ["Bone", 500, 2000],
];

@customElement("rf-images")
export class Images extends Page {
  @property({ attribute: false }) detail!: StudyDetail;
  @property({ attribute: false }) series: ImageSeries[] = [];
  @property({ attribute: false }) masks: Masks["findings"] = {};
  /** Key of the chosen finding. */
  @property() finding = "";
  /** Keys of the findings whose overlay is hidden. */
  @property({ attribute: false }) hiddenFindings: ReadonlySet<string> = new Set();
  @property({ attribute: false }) prior: PriorLine | undefined;
  /** Address of the first picture, shown until the viewer has drawn. */
  @property() first = "";
  /** Whether it may still come to have images. */
  @property({ type: Boolean }) waiting = false;
  @state() private shown = "";
  @state() private tool: Tool = "window";
  @state() private overlay = true;
  @state() private opacity = 0.5;
  @state() private drawn = false;
  @state() private playing = false;
  /** Not drawn by this element: at thirty slices a second, only what shows the place is touched. */
  slice = 0;
  viewer: Viewer | undefined;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.viewer?.close();
  }

  /** Shows the first series. */
  async open(code: typeof import("../../viewer/viewer.js"), series: ImageSeries, finding: Finding | undefined): Promise<void> {
    this.viewer = code.Viewer.open(this.querySelector<HTMLDivElement>(".viewport")!, {
      slice: (index) => this.moved(index),
      loaded: (count) => (this.scrubber.loaded = count),
      drawn: (readout) => {
        this.drawn = true;
        tell(this.frame, readout);
      },
    });
    await this.show(series, finding);
  }

  /** What keys of the page do here. */
  get keys(): Record<string, () => void> {
    return {
      j: () => this.viewer?.scroll(1),
      ArrowDown: () => this.viewer?.scroll(1),
      k: () => this.viewer?.scroll(-1),
      ArrowUp: () => this.viewer?.scroll(-1),
      h: () => (this.overlay = !this.overlay),
      y: () => this.play(),
      b: () => this.beside(this.prior ? undefined : this.detail.priors[0]),
      ...Object.fromEntries(this.acts().map(([, , key, act]) => [key, act])),
      ...Object.fromEntries(TOOLS.map(([tool, , key]) => [key, () => this.use(tool)])),
      ...Object.fromEntries(PRESETS.map(([, centre, width], i) => [String(i + 1), () => this.window(centre, width)])),
    };
  }

  /** Where a finding that is added now lies. Undefined where there is no image. */
  get place(): Pick<Missed, "series_uid" | "sop_uid" | "slice"> | undefined {
    const image = this.pictures[this.slice];
    return image && { series_uid: this.shown, sop_uid: image.sop_uid, slice: this.slice };
  }

  goTo(finding: Finding): void {
    const series = this.series.find((s) => s.series_uid === finding.series_uid);
    if (!series) return;
    if (series.series_uid !== this.shown) void this.show(series, finding);
    else this.viewer?.goTo(this.pictures.findIndex((i) => i.key === keyOf(finding)));
  }

  private get scrubber(): Scrubber {
    return this.querySelector<Scrubber>("rf-scrubber")!;
  }

  private get frame(): Element {
    return this.querySelector(".frame.main")!;
  }

  private get besides(): Prior | null {
    return this.querySelector<Prior>("rf-prior");
  }

  private moved(index: number): void {
    this.slice = index;
    this.tellPlace();
    this.besides?.follow(index);
    this.dispatchEvent(new CustomEvent("moved"));
  }

  private tellPlace(): void {
    const scrubber = this.querySelector<Scrubber>("rf-scrubber");
    const count = this.pictures.length;
    if (!scrubber || !count) return;
    scrubber.slice = this.slice;
    const picture = this.pictures[this.slice];
    this.frame.querySelector(".slice")!.textContent = `${this.slice + 1} / ${count}`;
    this.frame.querySelector(".at")!.textContent = picture && picture.at !== null ? `${picture.at.toFixed(1).replace("-", "−")} mm` : "";
    this.frame.querySelector(".viewport")!.setAttribute("aria-label", `Slice ${this.slice + 1} of ${count}`);
    tellMissed(this.frame, this.detail.review.missed, picture?.sop_uid ?? "");
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has("prior")) this.besides?.follow(this.slice);
    this.tellPlace();
    this.paintOverlay();
  }

  private window(centre: number, width: number): void {
    this.viewer?.window(centre, width);
    this.besides?.window(centre, width);
  }

  private async show(series: ImageSeries, finding?: Finding): Promise<void> {
    this.shown = series.series_uid;
    this.playing = false;
    const images = imagesOf(series);
    this.scrubber.loaded = 0;
    const at = images.findIndex((i) => i.key === keyOf(finding));
    await this.viewer?.show(series.series_uid, images, at >= 0 ? at : Math.floor(images.length / 2));
    if (this.chest) this.viewer?.window(PRESETS[0]![1], PRESETS[0]![2]);
    this.paintOverlay();
  }

  private get chest(): boolean {
    return this.current?.modality === "CT" && this.detail.study.body_part.toUpperCase() === "CHEST";
  }

  private get current(): ImageSeries | undefined {
    return this.series.find((s) => s.series_uid === this.shown);
  }

  private get pictures(): Picture[] {
    return this.current ? imagesOf(this.current) : [];
  }

  private paintOverlay(): void {
    this.viewer?.overlay(
      this.overlay
        ? this.detail.study.findings
            .filter((f) => placed(f) && !this.hiddenFindings.has(f.key) && f.series_uid === this.shown)
            .map((f) => ({ mask: this.masks[f.key] ?? {}, box: f.box, at: keyOf(f), chosen: f.key === this.finding }))
        : [],
      this.opacity,
    );
  }

  /** What changes the picture at once: its name, its sign, its key. */
  private acts(): [string, string, string, () => void][] {
    return [
      ["Invert", "◐", "i", () => this.viewer?.invert()],
      ["Mirror left and right", "⇄", "f", () => this.viewer?.turnTo("left-right")],
      ["Mirror top and bottom", "⇅", "v", () => this.viewer?.turnTo("top-bottom")],
      ["Rotate clockwise", "↻", "r", () => this.viewer?.turnTo("clockwise")],
      ["Fit the image", "▣", "0", () => this.viewer?.fit()],
      ["Zoom 1:1", "1:1", "o", () => this.viewer?.oneToOne()],
      ["Undo", "↶", "Ctrl+Z", () => this.viewer?.undo()],
      ["Full screen", "⤢", "d", () => void this.fullScreen()],
    ];
  }

  private play(): void {
    this.playing = this.viewer?.play() ?? false;
  }

  private async fullScreen(): Promise<void> {
    if (document.fullscreenElement) await document.exitFullscreen();
    else
      await this.querySelector(".viewer")!
        .requestFullscreen()
        .catch(() => undefined); // where a browser has none
  }

  private use(tool: Tool): void {
    this.tool = tool;
    this.viewer?.use(tool);
  }

  private beside(prior: PriorLine | undefined): void {
    this.dispatchEvent(new CustomEvent<PriorLine | undefined>("beside", { detail: prior }));
  }

  /** A prior that is there begins where this stack stands, in the same window. */
  private joined(prior: Prior): void {
    prior.follow(this.slice);
    if (this.chest) prior.window(PRESETS[0]![1], PRESETS[0]![2]);
  }

  protected override render(): TemplateResult {
    return html`<rf-thumbnails .api=${this.api} .me=${this.me} .study=${this.detail.study.study_uid} .series=${this.series} .shown=${this.shown} @choose=${(e: CustomEvent<ImageSeries>) => void this.show(e.detail)}></rf-thumbnails>
      <section class="viewer" aria-label="Images">
        ${this.toolbar()}
        <div class="viewports ${this.prior ? "two" : ""}">
          <div class="frame main">
            <div class="viewport" tabindex="0" role="img" aria-label="Images of the study"></div>
            ${this.drawn || !this.first ? nothing : html`<img class="first" src=${this.first} alt="The slice that matters most" />`}
            ${onImage()}
            <p class="corner bottom"><span class="slice"></span> <span class="at"></span>${this.pictures.length || this.waiting || this.shown ? "" : "No image"}</p>
          </div>
          ${this.prior ? keyed(this.prior.id, html`<rf-prior .api=${this.api} .me=${this.me} .prior=${this.prior} .beside=${this.current} @closed=${() => this.beside(undefined)} @shown=${(e: Event) => this.joined(e.target as Prior)}></rf-prior>`) : nothing}
        </div>
        <rf-scrubber .total=${this.pictures.length} @go=${(e: CustomEvent<number>) => this.viewer?.goTo(e.detail)}></rf-scrubber>
      </section>`;
  }

  private toolbar(): TemplateResult {
    return html`<div class="tools" role="toolbar" aria-label="Viewer">
      ${TOOLS.map(([tool, title, key]) => html`<button aria-pressed=${this.tool === tool} title="${title} (${key})" @click=${() => this.use(tool)}>${title}</button>`)}
      <span class="gap"></span>
      ${PRESETS.map(([title, centre, width], i) => html`<button title="${title} (${i + 1})" @click=${() => this.window(centre, width)}>${title}</button>`)}
      <span class="gap"></span>
      ${this.acts().map(([title, sign, key, act]) => html`<button class="sign-only" aria-label=${title} title="${title} (${key})" @click=${act}>${sign}</button>`)}
      <button class="sign-only" aria-label="Play" aria-pressed=${this.playing} title="Play the slices (y)" @click=${() => this.play()}>▶</button>
      <span class="gap"></span>
      <button aria-pressed=${this.overlay} title="AI overlay (h)" @click=${() => (this.overlay = !this.overlay)}>AI overlay</button>
      <label class="opacity"><span class="hidden">Overlay opacity</span>
        <input type="range" min="0.1" max="1" step="0.05" .value=${String(this.opacity)} @input=${(e: Event) => (this.opacity = Number((e.target as HTMLInputElement).value))} /></label>
      <button title="The image as it was opened" @click=${() => this.viewer?.reset()}>Reset</button>
    </div>`;
  }
}

/** The picture with a finding's largest section. */
export function keyOf(finding: Finding | undefined): string {
  return finding ? (finding.frame ? `${finding.sop_uid}#${finding.frame}` : finding.sop_uid) : "";
}

/** Whether a finding has a place: what a classification says is of the whole picture, and nothing is drawn for it. */
export function placed(finding: Finding): boolean {
  return finding.diameter_mm > 0;
}
