/** A prior study of the same patient as a second stack beside the current one. It says how long ago, never when. */

import { html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";

import type { ImageSeries, PriorLine, StudyImages } from "../../generated/api-types.js";
import { ago } from "../format.js";
import { Page } from "../page.js";
import { imagesOf } from "../pictures.js";
import { Link } from "../viewer/link.js";
import type { Viewer } from "../viewer/viewer.js";

@customElement("rf-prior")
export class Prior extends Page {
  @property({ attribute: false }) prior!: PriorLine;
  /** The series that is shown beside it. */
  @property({ attribute: false }) beside: ImageSeries | undefined;
  @state() private series: ImageSeries | undefined;
  @state() private linked = true;
  @state() private slice = 0;
  private viewer: Viewer | undefined;
  private link: Link | undefined;
  private leader = 0;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.viewer?.close();
  }

  protected override begin(): void {
    void this.attempt(async () => {
      const [{ Viewer }, images] = await Promise.all([
        import("../viewer/viewer.js"),
        this.api.get<StudyImages>(`/studies/${this.prior.id}/images`),
      ]);
      const shown = images.series.filter((s) => imagesOf(s).length);
      // The most alike: of the same modality, with the most images.
      this.series = shown.sort((a, b) => this.likeness(b) - this.likeness(a))[0];
      if (!this.series || !this.isConnected) return;
      this.link = new Link(this.places(this.beside), this.places(this.series));
      await this.updateComplete;
      this.viewer = Viewer.open(this.querySelector<HTMLDivElement>(".viewport")!, {
        slice: (index) => (this.slice = index),
        loaded: () => undefined,
        drawn: () => undefined,
      });
      await this.viewer.show(this.series.series_uid, imagesOf(this.series), this.link.follow(this.leader));
      this.dispatchEvent(new CustomEvent("shown"));
    });
  }

  private likeness(series: ImageSeries): number {
    return (series.modality === this.beside?.modality ? 1_000_000 : 0) + imagesOf(series).length;
  }

  private places(series: ImageSeries | undefined): (number | null)[] {
    return series ? imagesOf(series).map((i) => i.at) : [];
  }

  /** Goes where the other stack is. */
  follow(index: number): void {
    this.leader = index;
    if (this.linked && this.link) this.viewer?.goTo(this.link.follow(index));
  }

  window(centre: number, width: number): void {
    this.viewer?.window(centre, width);
  }

  private toggle(): void {
    this.linked = !this.linked;
    if (this.linked) this.link?.anchor(this.leader, this.slice);
  }

  protected override render(): TemplateResult {
    const count = this.series ? imagesOf(this.series).length : 0;
    return html`<div class="frame prior">
      <div class="viewport" tabindex="0" role="img" aria-label="Prior, slice ${this.slice + 1} of ${count}"></div>
      <p class="corner top">Prior ${this.prior.handle}, ${ago(this.prior.days)}</p>
      ${this.loading ? html`<p class="corner middle" role="status">Loading the prior…</p>` : count ? nothing : html`<p class="corner middle">${this.failure || "The prior has no image."}</p>`}
      <p class="corner bottom">${count ? html`<span class="slice">${this.slice + 1} / ${count}</span>` : nothing}</p>
      <div class="over">
        ${
          count
            ? html`<button aria-pressed=${this.linked} title="Scroll both together" @click=${() => this.toggle()}>Linked</button>
          <input type="range" min="0" max=${count - 1} .value=${String(this.slice)} aria-label="Slice of the prior" @input=${(e: Event) => this.viewer?.goTo(Number((e.target as HTMLInputElement).value))} />`
            : nothing
        }
        <button @click=${() => this.dispatchEvent(new CustomEvent("closed"))}>Close prior</button>
      </div>
    </div>`;
  }
}
