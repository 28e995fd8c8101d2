/** What is read on the image itself: its window, which side is which, and how large a millimetre is. */

import { metaData, type Types } from "@cornerstonejs/core";
import { wadouri } from "@cornerstonejs/dicom-image-loader";

import { unitOf } from "./measured.js";
import { worldOf } from "./places.js";

export type Side = "left" | "right" | "top" | "bottom";

export interface Readout {
  /** Centre and width, in the image's own values (HU in CT). */
  window: { centre: number; width: number } | undefined;
  /** Screen pixels to a pixel of the image, along a row. */
  zoom: number;
  /** Which way of the patient lies there: "R", "AL"; empty where the image does not say. */
  sides: Record<Side, string>;
  /** A length that is round, and how long it is on the page in CSS pixels; undefined where the image has no scale. */
  bar: { mm: number; length: number } | undefined;
}

const LENGTHS = [200, 100, 50, 20, 10, 5, 2, 1];
const OPPOSITE: Record<string, string> = { R: "L", L: "R", A: "P", P: "A", H: "F", F: "H" };
/** A direction counts from 15 degrees off the plane of the others. */
const SLANT = Math.sin(Math.PI / 12);

export function readoutOf(viewport: Types.IStackViewport): Readout {
  const { lower, upper } = viewport.getProperties().voiRange ?? {};
  const known = lower !== undefined && upper !== undefined;
  return {
    window: known ? { centre: (lower + upper) / 2, width: upper - lower } : undefined,
    zoom: zoomOf(viewport),
    sides: sidesOf(viewport),
    bar: barOf(viewport),
  };
}

/** Screen pixels to a pixel of the image, along a row. */
export function zoomOf(viewport: Types.IStackViewport): number {
  const [one, next] = [worldOf(viewport, 0, 0), worldOf(viewport, 1, 0)].map((at) => viewport.worldToCanvas(at));
  return Math.hypot(next![0] - one![0], next![1] - one![1]) * devicePixelRatio;
}

/** A round length that takes a quarter of the image's width at most, and is long enough to compare by eye. */
function barOf(viewport: Types.IStackViewport): Readout["bar"] {
  if (unitOf(viewport.getCurrentImageId()) !== "mm") return undefined;
  const [from, to] = [viewport.canvasToWorld([0, 0]), viewport.canvasToWorld([100, 0])];
  const perMm = 100 / Math.hypot(to[0] - from[0], to[1] - from[1], to[2] - from[2]);
  const mm = LENGTHS.find((length) => length * perMm <= viewport.element.clientWidth / 4);
  return mm && Number.isFinite(perMm) ? { mm, length: mm * perMm } : undefined;
}

/** Letters at the four sides, by where the screen's own directions lead in the patient: whatever was turned or mirrored. */
function sidesOf(viewport: Types.IStackViewport): Record<Side, string> {
  const from = viewport.canvasToWorld([0, 0]);
  const towards = (at: Types.Point2): string => {
    const to = viewport.canvasToWorld(at);
    return lettersOf(viewport, [to[0] - from[0], to[1] - from[1], to[2] - from[2]]);
  };
  const [right, bottom] = [towards([100, 0]), towards([0, 100])];
  return { right, bottom, left: opposite(right), top: opposite(bottom) };
}

/** Of a direction in the viewport's world. An image that says how it lies has the patient's own axes there (PS3.3
 *  C.7.6.2); a projection says letters for its rows and columns instead (C.7.6.1.1.1), and lies in the world as it is. */
function lettersOf(viewport: Types.IStackViewport, [x, y, z]: [number, number, number]): string {
  const id = viewport.getCurrentImageId();
  const plane = metaData.get("imagePlaneModule", id) as { rowCosines?: number[] | null } | undefined;
  if (plane?.rowCosines) {
    const size = Math.hypot(x, y, z);
    const parts: [string, string, number][] = [
      ["L", "R", x / size],
      ["P", "A", y / size],
      ["H", "F", z / size],
    ];
    return parts
      .filter(([, , part]) => Math.abs(part) > SLANT)
      .sort((a, b) => Math.abs(b[2]) - Math.abs(a[2]))
      .map(([plus, minus, part]) => (part > 0 ? plus : minus))
      .join("");
  }
  const [row, column] = (said(id) ?? "").split("\\");
  const [letters, part] = Math.abs(x) > Math.abs(y) ? [row, x] : [column, y];
  return part > 0 ? (letters ?? "") : opposite(letters ?? "");
}

/** Patient Orientation (0020,0020), where the image's file is here. */
function said(id: string): string | undefined {
  const uri = id.replace(/^wadouri:/, "").replace(/[?&]frame=\d+/, "");
  return wadouri.dataSetCacheManager.isLoaded(uri) ? wadouri.dataSetCacheManager.get(uri)?.string("x00200020") : undefined;
}

function opposite(letters: string): string {
  return [...letters].map((letter) => OPPOSITE[letter] ?? "").join("");
}
