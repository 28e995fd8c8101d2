import { html, nothing, svg, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import type { FrameTexts, NamedPerson, PersonList, QuarantineList, QuarantinedFile } from "../../generated/api-types.js";
import { typed } from "../form.js";
import { clock } from "../format.js";
import { Page } from "../page.js";

const SEVERAL = "several-persons";

@customElement("rf-quarantine")
export class Quarantine extends Page {
  @state() private items: QuarantinedFile[] = [];
  @state() private chosen = "";
  @state() private picture = "";
  @state() private saved = "";
  @state() private texts: FrameTexts | undefined;
  @state() private persons: NamedPerson[] | undefined;
  @state() private searching = false;
  @state() private boxes = true;

  protected override begin(): void {
    void this.attempt(() => this.read());
  }

  private async read(): Promise<void> {
    this.items = (await this.api.get<QuarantineList>("/quarantine")).items;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    URL.revokeObjectURL(this.picture);
  }

  private async look(item: QuarantinedFile, frame = 1): Promise<void> {
    if (this.chosen !== item.item) this.texts = undefined;
    this.chosen = item.item;
    this.saved = "";
    this.persons = undefined;
    const path = `/quarantine/${encodeURIComponent(item.item)}`;
    if (item.reason === SEVERAL) return this.ask(path, item);
    // The picture is there at once; looking for text in it takes a second or two.
    this.searching = true;
    const texts = this.api.get<FrameTexts>(`${path}/texts?frame=${frame}`).catch(() => undefined);
    const picture = await this.api.picture(`${path}/picture?frame=${frame}`).catch(() => "");
    if (this.chosen !== item.item) return URL.revokeObjectURL(picture);
    URL.revokeObjectURL(this.picture);
    this.picture = picture;
    const found = await texts;
    if (this.chosen !== item.item) return;
    this.texts = found;
    this.searching = false;
  }

  private async ask(path: string, item: QuarantinedFile): Promise<void> {
    await this.attempt(async () => {
      const { persons } = await this.api.get<PersonList>(`${path}/persons`);
      if (this.chosen === item.item) this.persons = persons;
    });
  }

  private async decide(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const wish = (event.submitter as HTMLButtonElement).value;
    const release = wish !== "reject";
    const reason = typed(new FormData(event.target as HTMLFormElement), "reason");
    const person = /^\d+$/.test(wish) ? { person: Number(wish) } : {};
    await this.attempt(async () => {
      await this.api.post(`/quarantine/${encodeURIComponent(this.chosen)}/decision`, { release, reason, ...person });
      this.saved = release
        ? this.persons
          ? "Your word is noted: the pipeline does the study again."
          : "Release asked for: the pipeline carries it out."
        : "Rejected: the pipeline removes it.";
      this.items = this.items.filter((i) => i.item !== this.chosen);
      this.chosen = "";
    });
  }

  protected override render(): TemplateResult {
    return html`<section class="sheet"><h1>Quarantine</h1>
      <p>Files that were kept back because a name could be in them, and studies whose files name several persons. Who looks here may see a name: every look is in the audit log.</p>
      ${this.failed()} <div role="status">${this.saved ? html`<p class="notice good">${this.saved}</p>` : nothing}</div>
      ${this.loading ? this.skeleton() : this.items.length ? html`<div class="quarantined"><div>${this.table()}</div><div>${this.view()}</div></div>` : html`<div class="empty"><p class="big">Nothing is kept back</p></div>`}
    </section>`;
  }

  private table(): TemplateResult {
    return html`<div class="scroll"><table><thead><tr><th scope="col">When</th><th scope="col">Reason</th><th scope="col">Clinic</th></tr></thead><tbody>
      ${this.items.map((i) => html`<tr aria-selected=${i.item === this.chosen}><td>${clock(i.at)}</td><th scope="row"><button @click=${() => void this.look(i)}>${i.reason}</button></th><td>${this.me.clinics.find((c) => c.id === i.clinic)?.name ?? i.clinic}</td></tr>`)}
    </tbody></table></div>`;
  }

  private view(): TemplateResult {
    const item = this.items.find((i) => i.item === this.chosen);
    if (!item) return html`<p class="dim">Choose a file.</p>`;
    if (item.reason === SEVERAL) return this.question(item);
    return html`<article class="card"><h2>${item.reason}</h2><p>${item.advice}</p>
      ${this.image(item)}
      <form @submit=${(e: SubmitEvent) => void this.decide(e)}><label class="field wide"><span>Reason for the decision</span><textarea name="reason" required minlength="3" maxlength="500" rows="2"></textarea></label>
      <div class="row">${item.releasable ? html`<button class="primary" value="release">Release</button>` : html`<span class="dim">It cannot be released: taken again, it would be refused again.</span>`}<button class="danger" value="reject">Reject</button></div></form></article>`;
  }

  private question(item: QuarantinedFile): TemplateResult {
    const persons = this.persons;
    if (!persons) return html`<article class="card"><h2>${item.reason}</h2><p role="status">Fetching whom the files name…</p></article>`;
    return html`<article class="card"><h2>${item.reason}</h2>
      <p>The files of one study name several persons. It is not analysed and nothing of it goes back to the clinic until you say whose it is.</p>
      <form @submit=${(e: SubmitEvent) => void this.decide(e)}>
      <div class="scroll"><table><thead><tr><th scope="col">Name</th><th scope="col">Patient ID</th><th scope="col">Born</th><th scope="col">Files</th><th scope="col">Split</th></tr></thead><tbody>
        ${persons.map(
          (
            p,
            i,
          ) => html`<tr><th scope="row">${p.name || "none"}</th><td>${p.patient_id || "none"}${p.issuer ? html` <span class="dim">${p.issuer}</span>` : nothing}</td><td>${p.birth_date || "none"}</td><td>${p.files}</td>
          <td><button value=${i} ?disabled=${!p.possible}>Only this person's files</button></td></tr>`,
        )}
      </tbody></table></div>
      <p class="dim">A split takes the files of one person; the clinic is asked to send the others' under a Study Instance UID of their own.</p>
      <label class="field wide"><span>Reason for the decision</span><textarea name="reason" required minlength="3" maxlength="500" rows="2"></textarea></label>
      <div class="row"><button class="primary" value="release">All are one person</button><button class="danger" value="reject">Reject the study</button></div></form></article>`;
  }

  private image(item: QuarantinedFile): TemplateResult {
    if (!this.picture)
      return html`<p class="dim" role="status">${this.searching ? "Fetching the picture…" : "This file shows no picture."}</p>`;
    const [frame, frames] = [this.texts?.frame ?? 1, this.texts?.frames ?? 1];
    const texts = this.texts?.texts ?? [];
    return html`<div class="kept">
        <img src=${this.picture} alt="The picture that was kept back" />
        ${this.boxes && !this.searching ? html`<svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">${texts.map((t) => svg`<rect class=${t.marker ? "marker" : "text"} x=${t.left} y=${t.top} width=${t.right - t.left} height=${t.bottom - t.top}></rect>`)}</svg>` : nothing}
      </div>
      <p role="status">${this.searching ? "Looking for text…" : !this.texts ? "The detector could not look. Look yourself." : texts.length ? `Text seen in ${texts.length} ${texts.length === 1 ? "place" : "places"}${frames > 1 ? ` of frame ${frame}` : ""}.` : "The detector sees no text here. Look yourself."}</p>
      <div class="row"><label class="check"><input type="checkbox" .checked=${this.boxes} @change=${() => (this.boxes = !this.boxes)} />Show the places</label>
        ${frames > 1 ? html`<label class="field"><span>Frame ${frame} of ${frames}: look at every one before a release</span><input type="range" min="1" max=${frames} .value=${String(frame)} @change=${(e: Event) => void this.look(item, Number((e.target as HTMLInputElement).value))} /></label>` : nothing}</div>`;
  }
}
