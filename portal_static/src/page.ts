/** What every page shares: light DOM (one style sheet, one tree for assistive technology), the API, and messages. */

import { LitElement, html, nothing, type TemplateResult } from "lit";
import { property, state } from "lit/decorators.js";

import type { Me } from "../generated/api-types.js";
import { Problem, type Api } from "./api.js";

export class Page extends LitElement {
  @property({ attribute: false }) api!: Api;
  @property({ attribute: false }) me!: Me;
  @state() protected failure = "";
  @state() protected loading = true;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  /** Begins the page's work. Not in connectedCallback: an element that was there before its code has no API yet. */
  protected begin(): void {
    this.loading = false;
  }

  protected override firstUpdated(): void {
    this.begin();
  }

  protected may(what: string): boolean {
    return this.me.may.includes(what);
  }

  /** Runs something that may fail; a failure is shown on the page, in words. */
  protected async attempt(work: () => Promise<void>): Promise<boolean> {
    try {
      this.failure = "";
      await work();
      return true;
    } catch (error) {
      this.failure = error instanceof Problem ? error.message : "Something failed in this page. Reload it, please.";
      if (!(error instanceof Problem)) console.error(error);
      return false;
    } finally {
      this.loading = false;
    }
  }

  protected failed(): TemplateResult | typeof nothing {
    return this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : nothing;
  }

  protected skeleton(rows = 6): TemplateResult {
    return html`<div class="skeleton" role="status" aria-label="Loading">${Array.from({ length: rows }, () => html`<div></div>`)}</div>`;
  }
}

/** Goes to a page of the portal without loading it anew. */
export function go(path: string): void {
  history.pushState(null, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
}

/** Whether a key press takes the last step back, or (with Shift) does it again, outside of a field and a dialog. */
export function isUndo(event: KeyboardEvent): boolean {
  const field = (event.target as HTMLElement).matches("input, textarea, select");
  return (
    event.key.toLowerCase() === "z" &&
    (event.ctrlKey || event.metaKey) &&
    !event.altKey &&
    !field &&
    !document.querySelector("dialog[open]")
  );
}

/** Whether a key press is meant for a field, a dialog or the browser, and not for the page's shortcuts. */
export function typing(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  const field = target.matches("input:not([type=range]):not([type=checkbox]), textarea, select");
  return field || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") !== null;
}
