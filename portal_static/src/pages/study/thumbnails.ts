/** The series of a study, each with a small picture that is asked for once. */

import { html, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { until } from "lit/directives/until.js";

import type { ImageSeries } from "../../../generated/api-types.js";
import { images } from "../../format.js";
import { Page } from "../../page.js";

@customElement("rf-thumbnails")
export class Thumbnails extends Page {
  /** The study's UID. */
  @property() study = "";
  @property({ attribute: false }) series: ImageSeries[] = [];
  /** UID of the series that is looked at. */
  @property() shown = "";
  private readonly small = new Map<string, Promise<TemplateResult | string>>();
  private readonly pictures: string[] = [];

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.pictures.forEach((url) => URL.revokeObjectURL(url));
  }

  protected override render(): TemplateResult {
    return html`<nav class="thumbs" aria-label="Series">
      ${this.series.map(
        (
          s,
        ) => html`<button aria-pressed=${s.series_uid === this.shown} @click=${() => this.dispatchEvent(new CustomEvent<ImageSeries>("choose", { detail: s }))}>
        ${until(this.thumbnail(s), html`<span class="dim small">…</span>`)}
        <b>${s.modality}${s.number === null ? "" : ` ${s.number}`}</b><span>${s.description || "Series"}</span><span class="dim">${images(s.instances.length)}</span></button>`,
      )}
    </nav>`;
  }

  private thumbnail(series: ImageSeries): Promise<TemplateResult | string> {
    const path = `/dicomweb/studies/${this.study}/series/${series.series_uid}/thumbnail`;
    const shown = (url: string): TemplateResult => {
      this.pictures.push(url);
      return html`<img src=${url} alt="" />`;
    };
    const asked = this.small.get(series.series_uid) ?? this.api.picture(path).then(shown, () => "");
    this.small.set(series.series_uid, asked);
    return asked;
  }
}
