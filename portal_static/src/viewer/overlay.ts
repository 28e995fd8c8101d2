/** Paints the AI's findings over the current slice: the segmented pixels, or the box where there are none. */

import type { Finding } from "../../generated/api-types.js";
import type { Mask } from "../pictures.js";
import { fillDisplay } from "./places.js";

export interface Shape {
  mask: Mask;
  box: Finding["box"];
  /** The picture of the box. */
  at: string;
  chosen: boolean;
}

/** Where a pixel's centre lies on the canvas, in CSS pixels. */
type Place = (column: number, row: number) => [number, number];

const [FILL, CHOSEN] = ["#ff8c2a", "#ffd60a"];

export function paint(canvas: HTMLCanvasElement, shapes: Shape[], picture: string, opacity: number, place: Place): void {
  fillDisplay(canvas);
  const shown = canvas.getBoundingClientRect();
  const context = canvas.getContext("2d")!;
  context.resetTransform();
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.scale(canvas.width / shown.width, canvas.height / shown.height);
  // The image's plane is seen without shear: three points give the whole map from pixels to the canvas.
  const [origin, right, down] = [place(0, 0), place(1, 0), place(0, 1)];
  context.transform(right[0] - origin[0], right[1] - origin[1], down[0] - origin[0], down[1] - origin[1], origin[0], origin[1]);
  for (const shape of shapes) {
    context.fillStyle = context.strokeStyle = shape.chosen ? CHOSEN : FILL;
    context.globalAlpha = opacity;
    const runs = shape.mask[picture];
    // A pixel is the square around its centre.
    if (runs) for (const [row, first, length] of runs) context.fillRect(first - 0.5, row - 0.5, length, 1);
    if (shape.at !== picture) continue;
    context.globalAlpha = 1;
    context.lineWidth = 1.5 / Math.hypot(right[0] - origin[0], right[1] - origin[1]);
    const { left, top, right: end, bottom } = shape.box;
    context.strokeRect(left - 2.5, top - 2.5, end - left + 4, bottom - top + 4);
  }
}
