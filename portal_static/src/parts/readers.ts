/** Who else is reading this study, and a claim for oneself that is renewed while the page is in view. */

import { html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";

import type { OtherReaders } from "../../generated/api-types.js";
import { Page } from "../page.js";

const RENEW_MS = 60_000;

@customElement("rf-readers")
export class Readers extends Page {
  @property() token = "";
  @state() private others: string[] = [];
  private timer = 0;
  private readonly onVisible = (): void => void this.renew();

  protected override begin(): void {
    void this.renew();
    this.timer = window.setInterval(this.onVisible, RENEW_MS);
    document.addEventListener("visibilitychange", this.onVisible);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.onVisible);
  }

  /** A courtesy: where it fails, nothing is said, and reading goes on. */
  private async renew(): Promise<void> {
    if (!this.may("study_reading") || document.visibilityState !== "visible") return;
    const answer = await this.api.post<OtherReaders>(`/studies/${this.token}/reading`, {}).catch(() => undefined);
    if (answer) this.others = answer.body.readers;
  }

  protected override render(): TemplateResult {
    return html`<span role="status">${this.others.length ? html`<span class="tag readers">${this.others.join(", ")} ${this.others.length > 1 ? "are" : "is"} reading this now</span>` : nothing}</span>`;
  }
}
