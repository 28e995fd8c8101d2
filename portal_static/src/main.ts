import { LitElement, html, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import { studyOf } from "./address.js";
import type { Me } from "../generated/api-types.js";
import { Api } from "./api.js";
import { go, typing } from "./page.js";
import "./pages/worklist.js";

const PAGES = [
  { path: "/", title: "Worklist", needs: "studies" },
  { path: "/uploads", title: "Uploads", needs: "uploads" },
  { path: "/quarantine", title: "Quarantine", needs: "quarantine" },
  { path: "/operations", title: "Operations", needs: "ops" },
  { path: "/privacy", title: "Privacy", needs: "audit" },
  { path: "/requests", title: "Requests", needs: "requests" },
  { path: "/about", title: "About", needs: "models" },
];

const STALE_AFTER_MS = 10_000;

@customElement("rf-app")
export class App extends LitElement {
  @state() private me: Me | undefined;
  @state() private path = location.pathname;
  @state() private failure = "";
  private api!: Api;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    setTheme(localStorage.getItem("readfirst.theme") ?? "dark");
    addEventListener("popstate", () => this.navigated());
    addEventListener("keydown", (event) => this.key(event));
    this.addEventListener("click", (event) => this.follow(event));
    void this.start();
  }

  private async start(): Promise<void> {
    try {
      // The page's code comes while the sign-in is looked at.
      if (studyOf(location.pathname)) void import("./pages/study/study.js").catch(() => undefined);
      this.api = await Api.start();
      await this.api.signIn.finish();
      if (!this.api.signIn.signedIn) await this.api.signIn.begin();
      this.me = await this.api.get<Me>("/me");
      if (location.pathname === "/" && !this.me.may.includes("studies")) history.replaceState(null, "", this.pages()[0]?.path ?? "/about");
      this.navigated();
    } catch (error) {
      this.failure = error instanceof Error ? error.message : "The portal could not start.";
    }
  }

  private navigated(): void {
    this.path = location.pathname;
    void this.load();
  }

  /** The page's code is fetched when it is first needed: the worklist comes with the shell. */
  private async load(): Promise<void> {
    try {
      if (studyOf(this.path)) await import("./pages/study/study.js");
      else if (this.path !== "/") await import("./pages/others.js");
    } catch {
      // A new version was deployed while this tab was open: its files have other names.
      if (performance.now() > STALE_AFTER_MS) location.reload();
      else this.failure = "This page could not be loaded. Try again in a minute.";
      return;
    }
    const title = PAGES.find((page) => page.path === this.path)?.title ?? (studyOf(this.path) ? "Study" : "Readfirst");
    document.title = `${title}: Readfirst`;
    if (this.path !== "/") document.querySelector<HTMLElement>("main")?.focus();
  }

  private pages(): typeof PAGES {
    return PAGES.filter((page) => this.me?.may.includes(page.needs));
  }

  private follow(event: MouseEvent): void {
    const link = (event.target as HTMLElement).closest<HTMLAnchorElement>("a[href^='/']");
    if (!link || link.target || link.hash || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(link.getAttribute("href") ?? "/");
  }

  private key(event: KeyboardEvent): void {
    if (typing(event)) return;
    if (event.key === "t") this.toggleTheme();
    if (event.key === "?") this.querySelector<HTMLDialogElement>("#keys")?.showModal();
  }

  private toggleTheme(): void {
    const theme = document.documentElement.dataset["theme"] === "dark" ? "light" : "dark";
    localStorage.setItem("readfirst.theme", theme);
    setTheme(theme);
    this.requestUpdate();
  }

  protected override render(): TemplateResult {
    if (this.failure)
      return html`<main class="alone"><h1>Readfirst</h1><p class="notice bad" role="alert">${this.failure}</p><p><a href=${location.pathname + location.search} target="_self">Try again</a></p></main>`;
    if (!this.me) return html`<main class="alone"><h1>Readfirst</h1><p role="status">Signing in…</p></main>`;
    const dark = document.documentElement.dataset["theme"] === "dark";
    return html`
      <header class="bar">
        <a class="brand" href="/"><img src="/icon.svg" alt="" width="22" height="22" />Readfirst</a>
        <nav aria-label="Pages">
          ${this.pages().map((page) => html`<a href=${page.path} aria-current=${page.path === this.path ? "page" : nothing}>${page.title}</a>`)}
        </nav>
        <span class="synthetic">SYNTHETIC MODEL, NOT FOR DIAGNOSIS</span>
        <button class="quiet" @click=${() => this.querySelector<HTMLDialogElement>("#keys")?.showModal()} title="Keyboard (?)" aria-label="Keyboard shortcuts">?</button>
        <button class="quiet" @click=${() => this.toggleTheme()} title="Theme (t)" aria-label=${dark ? "Light theme" : "Dark theme"}>${dark ? "☀" : "☾"}</button>
        <span class="who" title=${this.me.roles.join(", ")}>${this.me.name}</span>
        <button class="quiet" @click=${() => void this.api.signIn.signOut()}>Sign out</button>
      </header>
      <main tabindex="-1">${this.page()}</main>
      ${keys()}
    `;
  }

  private page(): TemplateResult {
    const me = this.me as Me;
    const study = studyOf(this.path);
    if (study) return html`<rf-study .api=${this.api} .me=${me} .token=${study}></rf-study>`;
    switch (this.path) {
      case "/":
        return html`<rf-worklist .api=${this.api} .me=${me}></rf-worklist>`;
      case "/uploads":
        return html`<rf-uploads .api=${this.api} .me=${me}></rf-uploads>`;
      case "/quarantine":
        return html`<rf-quarantine .api=${this.api} .me=${me}></rf-quarantine>`;
      case "/operations":
        return html`<rf-operations .api=${this.api} .me=${me}></rf-operations>`;
      case "/privacy":
        return html`<rf-privacy .api=${this.api} .me=${me}></rf-privacy>`;
      case "/requests":
        return html`<rf-requests .api=${this.api} .me=${me}></rf-requests>`;
      case "/about":
        return html`<rf-about .api=${this.api} .me=${me}></rf-about>`;
      default:
        return html`<section class="sheet"><h1>There is no such page</h1><p><a href="/">Back to the worklist</a></p></section>`;
    }
  }
}

function setTheme(theme: string): void {
  document.documentElement.dataset["theme"] = theme;
}

const KEYS: [string, [string, string][]][] = [
  [
    "Everywhere",
    [
      ["?", "this list"],
      ["t", "dark or light theme"],
    ],
  ],
  [
    "Worklist",
    [
      ["j k", "next, previous study"],
      ["Enter", "open"],
      ["/", "find by handle"],
      ["r", "look for news now"],
    ],
  ],
  [
    "Study",
    [
      ["j k", "next, previous slice"],
      ["n p", "next, previous finding"],
      ["a x c", "accept, reject, correct the finding"],
      ["m", "add a finding that the AI missed, on this slice"],
      ["h", "overlay on or off"],
      ["b", "the latest prior next to it"],
      ["1 2 3", "lung, soft tissue, bone window"],
      ["w g z q", "drag: window, pan, zoom, magnifier"],
      ["l B e", "drag: length, bidirectional, ellipse with mean and SD"],
      ["A W", "angle, arrow"],
      ["Ctrl+Z", "undo; with Shift again"],
      ["i", "invert"],
      ["f v r", "mirror left and right, top and bottom; rotate"],
      ["0 o d", "fit, one to one, full screen"],
      ["y", "play the slices"],
      ["s", "sign off, after a question"],
      ["u", "back to the worklist"],
    ],
  ],
];

function keys(): TemplateResult {
  return html`<dialog id="keys" aria-labelledby="keys-title">
    <h2 id="keys-title">Keyboard</h2>
    <div class="keys">
      ${KEYS.map(([where, list]) => html`<section><h3>${where}</h3><dl>${list.map(([key, what]) => html`<div><dt>${key.split(" ").map((k) => html`<kbd>${k}</kbd>`)}</dt><dd>${what}</dd></div>`)}</dl></section>`)}
    </div>
    <form method="dialog"><button autofocus>Close</button></form>
  </dialog>`;
}
