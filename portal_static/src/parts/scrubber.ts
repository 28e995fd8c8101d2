/** Where the stack stands and how much of it is here. An element of its own: scrolling draws this, not the whole page. */

import { LitElement, html, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";

import { images } from "../format.js";

@customElement("rf-scrubber")
export class Scrubber extends LitElement {
  @property({ type: Number }) total = 0;
  @property({ type: Number }) slice = 0;
  @property({ type: Number }) loaded = 0;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  protected override render(): TemplateResult {
    const told = !this.total ? "" : this.loaded < this.total ? `${this.loaded} of ${images(this.total)}` : "All images here";
    return html`<div class="progress">
      <input type="range" min="0" max=${Math.max(0, this.total - 1)} .value=${String(this.slice)} aria-label="Slice" @input=${(e: Event) => this.dispatchEvent(new CustomEvent<number>("go", { detail: Number((e.target as HTMLInputElement).value) }))} />
      <progress max=${Math.max(1, this.total)} .value=${this.loaded} aria-label="Images loaded"></progress>
      <span class="dim">${told}</span>
    </div>`;
  }
}
