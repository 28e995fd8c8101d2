/** Places: which point of the patient lies under a point of the screen, and back.
 *
 *  Every tool and the overlay ask the viewport's `canvasToWorld` and `worldToCanvas`. Cornerstone 5.14 answers them from
 *  the display's ratio (device pixels to a CSS pixel), as if the picture had just been drawn at that ratio. Where the
 *  processor draws, the picture is drawn in CSS pixels; and after the window moved to another display it was drawn at
 *  the old display's ratio, whoever drew it. A length was then wrong by the ratio. Here the picture itself is asked: its
 *  pixels, and how large it lies on the page. The display's ratio cancels out. */

import type { Types } from "@cornerstonejs/core";

type Viewport = Types.IStackViewport;
type Pair = [number, number];

/** Mends the viewport's places; every tool uses the viewport's own methods, so it is enough to replace them there. */
export function mendPlaces(viewport: Viewport, byProcessor: boolean): void {
  const { canvasToWorld, worldToCanvas } = viewport;
  /** Cornerstone multiplies by the ratio: what it must be given so that it meets the picture's pixels. */
  const perCss = (): Pair => {
    const shown = viewport.canvas.getBoundingClientRect();
    const [width, height] = byProcessor ? [viewport.canvas.width, viewport.canvas.height] : [viewport.sWidth, viewport.sHeight];
    if (!shown.width || !shown.height) return [1, 1]; // not on the page: nothing can be pointed at
    return [width / shown.width / devicePixelRatio, height / shown.height / devicePixelRatio];
  };
  // The processor's transforms take an image's first corner for its first pixel's centre, where DICOM's position is
  // (PS3.3 C.7.6.2.1.1): everything lay half a pixel off.
  const half = byProcessor ? 0.5 : 0;
  viewport.canvasToWorld = ([x, y]) => {
    const [across, down] = perCss();
    const world = canvasToWorld([x * across, y * down]) as Types.Point3 | undefined;
    return (world && step(viewport, world, -half, -half)) as Types.Point3; // nothing is shown yet: Cornerstone's undefined
  };
  viewport.worldToCanvas = (world) => {
    const [across, down] = perCss();
    const [x, y] = worldToCanvas(step(viewport, world, half, half));
    return [x / across, y / down];
  };
  if (byProcessor) mendCamera(viewport);
}

/** A zoom is by how much larger, whatever a pixel measures: the processor's own arithmetic from millimetres knows neither
 *  the ratio nor pixels that are not square, and each drag of the mouse multiplied its error. */
function mendCamera(viewport: Viewport): void {
  const setCamera = viewport.setCamera.bind(viewport);
  const resetCamera = viewport.resetCamera.bind(viewport);
  viewport.setCamera = ({ parallelScale, ...camera }, ...rest) => {
    const now = viewport.getCamera();
    if (parallelScale && camera.scale === undefined && now.scale && now.parallelScale)
      camera.scale = (now.scale * now.parallelScale) / parallelScale;
    setCamera(camera, ...rest);
  };
  viewport.resetCamera = (options) => {
    const done = resetCamera(options);
    // Its own centre is off by what was mended above.
    const image = viewport.getImageData();
    if (image && options?.resetPan !== false)
      setCamera({ focalPoint: step(viewport, image.origin, (image.dimensions[0] - 1) / 2, (image.dimensions[1] - 1) / 2) });
    return done;
  };
}

/** Where the centre of a pixel of the current image lies in the patient, in mm. Cornerstone's `imageToWorldCoords` mixes
 *  up rows and columns where pixels are not square. */
export function worldOf(viewport: Viewport, column: number, row: number): Types.Point3 {
  return step(viewport, viewport.getImageData().origin, column, row);
}

/** Goes some columns and rows of the current image further. */
function step(viewport: Viewport, from: Types.Point3, columns: number, rows: number): Types.Point3 {
  if (!columns && !rows) return from;
  const { direction, spacing } = viewport.getImageData();
  const along = (axis: 0 | 1 | 2): number => from[axis] + direction[axis] * spacing[0] * columns + direction[axis + 3]! * spacing[1] * rows;
  return [along(0), along(1), along(2)];
}

/** The processor draws into a picture of the display's own pixels, as the graphics card does; Cornerstone leaves it at
 *  CSS pixels. */
export function fillDisplay(canvas: HTMLCanvasElement): void {
  const shown = canvas.getBoundingClientRect();
  const [width, height] = [Math.round(shown.width * devicePixelRatio), Math.round(shown.height * devicePixelRatio)];
  if (!width || !height || (canvas.width === width && canvas.height === height)) return;
  [canvas.width, canvas.height] = [width, height];
}

/** Calls back whenever the page comes to a display of another ratio, until `signal` ends it. */
export function onOtherDisplay(changed: () => void, signal: AbortSignal): void {
  const watch = (): void => {
    const here = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
    const moved = (): void => {
      changed();
      watch();
    };
    here.addEventListener("change", moved, { once: true, signal });
  };
  watch();
}
