/** A round glass over the image while it is pressed: the image's own pixels, enlarged, in the same window and turn.
 *
 *  Cornerstone's MagnifyTool sets a VOI LUT function, which its processor rendering refuses, and knows nothing of places.ts. */

import { Enums, type RenderingEngine, type Types } from "@cornerstonejs/core";

import { fillDisplay, mendPlaces } from "./places.js";
import { zoomOf } from "./readout.js";
import { apply, type Turn } from "./turning.js";

const TIMES = 3;

export class Magnifier {
  private readonly glass = document.createElement("div");
  private readonly id: string;
  private enlarged: Types.IStackViewport | undefined;

  /** `turn` says how the image lies now; undefined while the glass is not the chosen tool. */
  constructor(
    private readonly engine: RenderingEngine,
    private readonly viewport: Types.IStackViewport,
    private readonly byProcessor: boolean,
    turn: () => Turn | undefined,
    signal: AbortSignal,
  ) {
    this.id = `${viewport.id}-glass`;
    this.glass.className = "glass";
    const { element } = viewport;
    element.addEventListener(
      "pointerdown",
      (event) => {
        const now = turn();
        if (now && event.button === 0) void this.open(event, now);
      },
      { signal },
    );
    element.addEventListener("pointermove", (event) => this.move(event), { signal });
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => this.close(), { signal });
    signal.addEventListener("abort", () => this.close());
  }

  private async open(event: PointerEvent, turn: Turn): Promise<void> {
    const image = this.viewport.getCurrentImageId();
    if (!image || this.enlarged) return;
    this.viewport.element.append(this.glass);
    this.engine.enableElement({ viewportId: this.id, type: Enums.ViewportType.STACK, element: this.glass });
    const made = (this.enlarged = this.engine.getViewport<Types.IStackViewport>(this.id));
    mendPlaces(made, this.byProcessor);
    this.place(event);
    await made.setStack([image]);
    if (this.enlarged !== made) return; // lifted meanwhile
    if (this.byProcessor) fillDisplay(made.canvas);
    const { voiRange, invert } = this.viewport.getProperties();
    made.setProperties({ ...(voiRange && { voiRange }), ...(invert !== undefined && { invert }) });
    made.resetCamera();
    apply(made, turn);
    const { parallelScale } = made.getCamera();
    if (parallelScale) made.setCamera({ parallelScale: (parallelScale * zoomOf(made)) / (TIMES * zoomOf(this.viewport)) });
    this.move(event);
  }

  private move(event: PointerEvent): void {
    const { enlarged } = this;
    if (!enlarged?.getImageData()) return;
    const [x, y] = this.place(event);
    const { focalPoint, position } = enlarged.getCamera();
    const there = this.viewport.canvasToWorld([x, y]);
    if (!focalPoint || !position) return;
    const along = (axis: 0 | 1 | 2): number => position[axis] + there[axis] - focalPoint[axis];
    enlarged.setCamera({ focalPoint: there, position: [along(0), along(1), along(2)] });
    enlarged.render();
  }

  /** Brings the glass under the pointer. Returns where that is on the image's element, in CSS pixels. */
  private place(event: PointerEvent): [number, number] {
    const { left, top } = this.viewport.element.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    this.glass.style.left = `${x}px`;
    this.glass.style.top = `${y}px`;
    return [x, y];
  }

  private close(): void {
    if (!this.enlarged) return;
    this.enlarged = undefined;
    this.engine.disableElement(this.id);
    this.glass.remove();
    this.glass.replaceChildren();
  }
}
