import { html, nothing, svg, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

import type { Figures, RefusedCounts } from "../../generated/api-types.js";
import { counted, dollars, percent, seconds } from "../format.js";
import { Page } from "../page.js";
import "../parts/failures.js";
import "../parts/model-changes.js";

@customElement("rf-operations")
export class Operations extends Page {
  @state() private figures: Figures | undefined;
  @state() private days = 30;

  protected override begin(): void {
    void this.attempt(async () => {
      const [figures, alone] = await Promise.all([
        this.api.get<Figures>(`/ops?days=${this.days}`),
        this.api.get<RefusedCounts>(`/uploads/refused?days=${this.days}`),
      ]);
      this.figures = { ...figures, refused: sum(figures.refused, alone.refused) };
    });
  }

  protected override render(): TemplateResult {
    const f = this.figures;
    return html`<section class="sheet">
      <div class="head"><h1>Operations</h1>
        <label class="field"><span>Period</span><select @change=${(e: Event) => {
          this.days = Number((e.target as HTMLSelectElement).value);
          this.begin();
        }}>
          ${[7, 30, 90, 365].map((d) => html`<option value=${d} ?selected=${d === this.days}>${d} days</option>`)}</select></label></div>
      ${this.failed()}
      ${this.may("failures") ? html`<rf-failures .api=${this.api} .me=${this.me}></rf-failures>` : nothing}
      ${
        f
          ? html`
        <div class="cards">
          <p class="card"><b>${f.studies}</b>studies</p>
          <p class="card"><b>${f.labels["flagged"] ?? 0}</b>flagged</p>
          <p class="card"><b>${f.labels["NOT ANALYSED: read as usual"] ?? 0}</b>not analysed</p>
          <p class="card"><b>${f.states["failed"] ?? 0}</b>failed</p>
          <p class="card"><b>${f.alerts_not_sent}</b>alerts not sent yet</p>
          <p class="card"><b>${f.past_due}</b>past due, unsigned</p>
          <p class="card"><b>${dollars(f.spend.studies)}</b>spent on these studies</p>
        </div>
        <div class="plots">
          <section class="card"><h2>Studies per day</h2>${perDay(f.per_day)}</section>
          <section class="card"><h2>Time per stage, median and 95th percentile</h2>${stages(f.stages)}</section>
          <section class="card"><h2>Spend per day</h2>${spend(f.spend)}</section>
          <section class="card"><h2>Why not analysed</h2>${counts(f.not_analysed)}</section>
          <section class="card"><h2>Files refused</h2>${counts(f.refused)}</section>
        </div>
        <section><h2>The model's record, from signed reviews</h2>${models(f.models)}</section>`
          : this.loading
            ? this.skeleton()
            : nothing
      }
      ${this.may("model_changes") ? html`<rf-model-changes .api=${this.api} .me=${this.me}></rf-model-changes>` : nothing}
    </section>`;
  }
}

/** Files refused of studies, and of no study. */
function sum(one: Record<string, number>, other: Record<string, number>): Record<string, number> {
  const all = { ...one };
  for (const [reason, count] of Object.entries(other)) all[reason] = (all[reason] ?? 0) + count;
  return all;
}

interface Column {
  day: string;
  parts: [string, number][];
}

/** Columns by day, every day of the period: a gap is a day without any. */
function columns(found: Column[], label: string, amount: (value: number) => string): TemplateResult {
  const list = everyDay(found);
  const total = (c: Column): number => c.parts.reduce((sum, [, value]) => sum + value, 0);
  const most = Math.max(...list.map(total));
  const [width, height] = [600, 130];
  const step = width / list.length;
  const bar = Math.min(Math.max(step - 2, 1), 40);
  return html`<svg class="plot" viewBox="-64 -8 ${width + 70} ${height + 34}" role="img" aria-label=${label}>
    <line x1="0" x2=${width} y1=${height} y2=${height}></line><line x1="0" x2=${width} y1="0" y2="0"></line>
    <text x="-6" y="4" text-anchor="end">${amount(most)}</text><text x="-6" y=${height + 4} text-anchor="end">0</text>
    ${list.map((column, i) => {
      let base = height;
      return column.parts.map(([kind, value]) => {
        const size = most ? (value / most) * height : 0;
        base -= size;
        return svg`<rect class=${kind} x=${i * step + (step - bar) / 2} width=${bar} y=${base} height=${size}><title>${column.day}: ${amount(value)}</title></rect>`;
      });
    })}
    <text x="0" y=${height + 20}>${list[0]!.day}</text><text x=${width} y=${height + 20} text-anchor="end">${list.length > 1 ? list.at(-1)!.day : ""}</text>
  </svg>`;
}

function everyDay(found: Column[]): Column[] {
  const known = new Map(found.map((c) => [c.day, c]));
  const days: Column[] = [];
  const last = Date.parse(found.at(-1)!.day);
  for (let at = Date.parse(found[0]!.day); at <= last; at += 86_400_000) {
    const day = new Date(at).toISOString().slice(0, 10);
    days.push(known.get(day) ?? { day, parts: [] });
  }
  return days;
}

const NOTHING = html`<p class="dim">No studies in this period.</p>`;

function perDay(days: Figures["per_day"]): TemplateResult {
  if (!days.length) return NOTHING;
  const total = days.reduce((sum, d) => sum + d.high_risk + d.other, 0);
  const list = days.map((d): Column => ({
    day: d.day,
    parts: [
      ["other", d.other],
      ["high", d.high_risk],
    ],
  }));
  return html`${columns(list, `${counted(total, "study", "studies")} on ${counted(days.length, "day")}`, (n) => String(n))}<p class="dim small"><span class="swatch high"></span>high risk <span class="swatch other"></span>the rest</p>`;
}

function spend(found: Figures["spend"]): TemplateResult {
  if (!found.per_day.length) return NOTHING;
  const list = found.per_day.map((d): Column => ({ day: d.day, parts: [["cost", d.usd]] }));
  return html`${columns(list, `${dollars(found.studies)} in this period`, dollars)}
    <p class="dim small">An estimate from each study's files and the job's measured seconds, at list prices of ${found.prices}. In addition, profile ${found.profile} costs ${dollars(found.fixed_a_month)} a month, whatever comes.</p>`;
}

function stages(list: Figures["stages"]): TemplateResult {
  const own = list.filter((s) => !s.stage.startsWith("job."));
  const longest = Math.max(1, ...own.map((s) => s.p95));
  return html`<div class="bars">${own.map((s) => html`<div><span>${s.stage}</span><meter min="0" max=${longest} .value=${s.median} aria-label="Median of ${s.stage}"></meter><span>${seconds(s.median)} · ${seconds(s.p95)}</span></div>`)}</div>`;
}

function counts(found: Record<string, number>): TemplateResult {
  const list = Object.entries(found).sort((a, b) => b[1] - a[1]);
  if (!list.length) return html`<p class="dim">None.</p>`;
  return html`<div class="bars">${list.map(([name, count]) => html`<div><span>${name}</span><meter min="0" max=${list[0]![1]} .value=${count} aria-label=${name}></meter><span>${count}</span></div>`)}</div>`;
}

function models(list: Figures["models"]): TemplateResult {
  if (!list.length) return html`<p class="dim">No signed review of a model's result in this period.</p>`;
  return html`<div class="scroll"><table><thead><tr><th scope="col">Model</th><th scope="col">Month</th><th scope="col">Signed</th><th scope="col">Confirmed</th><th scope="col">Rejected</th><th scope="col">Positive predictive value</th><th scope="col">Missed</th><th scope="col">Minutes to review</th></tr></thead>
    <tbody>${list.map((m) => html`<tr><th scope="row">${m.model}</th><td>${m.month}</td><td>${m.signed}</td><td>${m.confirmed}</td><td>${m.rejected}</td><td>${m.positive_predictive_value === null ? "–" : percent(m.positive_predictive_value)}</td><td>${m.missed}</td><td>${m.minutes_to_review}</td></tr>`)}</tbody></table></div>`;
}
