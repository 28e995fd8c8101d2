/** The words that lie on the image: what a reader looks for there without looking away. */

import { html, type TemplateResult } from "lit";

import type { Missed } from "../../../generated/api-types.js";
import type { Readout, Side } from "../../viewer/readout.js";

const SIDES: Side[] = ["left", "right", "top", "bottom"];

/** Empty places, which `tell` and `tellSlice` fill: at thirty slices a second the page itself is not drawn again. */
export function onImage(): TemplateResult {
  return html`<p class="corner top">SYNTHETIC: NOT FOR DIAGNOSIS</p>
    <p class="corner top right read"><span class="window"></span> <span class="zoom"></span></p>
    ${SIDES.map((side) => html`<p class="side ${side}" aria-hidden="true"></p>`)}
    <p class="corner note"></p>
    <p class="corner bottom right scale" aria-hidden="true"><span></span><i></i></p>`;
}

/** Writes what is read on the image. */
export function tell(frame: Element, { window, zoom, sides, bar }: Readout): void {
  const into = (selector: string, text: string): void => {
    const place = frame.querySelector(selector)!;
    if (place.textContent !== text) place.textContent = text;
  };
  into(".read .window", window ? `W ${figure(window.width)} L ${figure(window.centre)}` : "");
  into(".read .zoom", `${Math.round(zoom * 100)} %`);
  for (const side of SIDES) into(`.side.${side}`, sides[side]);
  into(".corner.scale span", bar ? (bar.mm >= 10 ? `${bar.mm / 10} cm` : `${bar.mm} mm`) : "");
  frame.querySelector<HTMLElement>(".corner.scale i")!.style.width = bar ? `${bar.length}px` : "0";
}

/** Writes what of the readers' own findings lies on the slice. */
export function tellMissed(frame: Element, missed: Missed[], sop: string): void {
  const here = missed
    .filter((m) => m.sop_uid === sop)
    .map((m) => [m.site, m.diameter_mm ? `${m.diameter_mm} mm` : ""].filter(Boolean).join(", "));
  frame.querySelector(".corner.note")!.textContent = here.length ? `Added by the reader on this slice: ${here.join("; ")}` : "";
}

function figure(value: number): string {
  return Math.round(value).toString().replace("-", "−");
}
