/** The stack viewer: Cornerstone3D behind the few verbs that the study page needs. Loaded with the study page only. */

import {
  Enums,
  RenderingEngine,
  cache,
  getShouldUseCPURendering,
  imageLoader,
  init as initCore,
  setUseCPURendering,
  utilities,
  type Types,
} from "@cornerstonejs/core";
import { init as initLoader } from "@cornerstonejs/dicom-image-loader";
import {
  AngleTool,
  ArrowAnnotateTool,
  BidirectionalTool,
  EllipticalROITool,
  Enums as ToolEnums,
  LengthTool,
  PanTool,
  StackScrollTool,
  ToolGroupManager,
  WindowLevelTool,
  ZoomTool,
  addTool,
  annotation,
  init as initTools,
  type Types as ToolTypes,
} from "@cornerstonejs/tools";

import type { MeasuredInput } from "../../generated/api-types.js";
import type { Picture } from "../pictures.js";
import { Cine } from "./cine.js";
import { Magnifier } from "./magnifier.js";
import { isWhole, measuredOf } from "./measured.js";
import { paint, type Shape } from "./overlay.js";
import { fillDisplay, mendPlaces, onOtherDisplay, worldOf } from "./places.js";
import { readoutOf, zoomOf, type Readout } from "./readout.js";
import { UPRIGHT, apply, turned, type Turn, type Way } from "./turning.js";

export type Tool = "window" | "pan" | "zoom" | "magnify" | "length" | "bidirectional" | "ellipse" | "angle" | "arrow";

/** A measurement that is drawn and not saved; `null` where the image has no scale that it could be kept in. */
export interface Drawn {
  uid: string;
  measured: MeasuredInput | null;
}

export interface Listener {
  slice(index: number): void;
  loaded(count: number): void;
  drawn(readout: Readout): void;
}

const TOOLS: Record<Exclude<Tool, "magnify">, string> = {
  window: WindowLevelTool.toolName,
  pan: PanTool.toolName,
  zoom: ZoomTool.toolName,
  length: LengthTool.toolName,
  bidirectional: BidirectionalTool.toolName,
  ellipse: EllipticalROITool.toolName,
  angle: AngleTool.toolName,
  arrow: ArrowAnnotateTool.toolName,
};
/** An arrow points, and says nothing: words belong into the review. Cornerstone forgets an arrow without a label. */
const WORDLESS = { getTextCallback: (done: (label: string) => void) => done(" ") };
const AT_ONCE = 6;
const CACHE_BYTES = 1 << 30;
let ready = false;
let opened = 0;

function start(): void {
  initCore();
  // A graphics card that is only imitated (remote desktops, virtual machines) draws a slice slower than the processor
  // does by itself.
  if (imitated()) setUseCPURendering(true);
  initLoader({ maxWebWorkers: Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1)) });
  initTools();
  cache.setMaxCacheSize(CACHE_BYTES);
  for (const tool of [
    StackScrollTool,
    WindowLevelTool,
    PanTool,
    ZoomTool,
    LengthTool,
    BidirectionalTool,
    EllipticalROITool,
    AngleTool,
    ArrowAnnotateTool,
  ])
    addTool(tool);
}

function imitated(): boolean {
  const context = document.createElement("canvas").getContext("webgl2");
  const names = context?.getExtension("WEBGL_debug_renderer_info");
  const renderer = context && names ? String(context.getParameter(names.UNMASKED_RENDERER_WEBGL)) : "";
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return !context || /swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer);
}

/** Starts what takes a while (decoders, rendering), so that the first study finds it ready. */
export function warm(): void {
  if (!ready) start();
  ready = true;
}

export class Viewer {
  private readonly id = `readfirst-${++opened}`;
  private readonly engine: RenderingEngine;
  private readonly viewport: Types.IStackViewport;
  private readonly canvas = document.createElement("canvas");
  private readonly byProcessor = getShouldUseCPURendering();
  private readonly closed = new AbortController();
  private readonly resizing: ResizeObserver;
  private tool: Tool = "window";
  /** Whether a finger is held still, and sets the window. */
  private held = false;
  private images: Picture[] = [];
  private ids: string[] = [];
  /** Every image that was in a stack here: what was drawn on a series is there after another one was looked at. */
  private readonly seen = new Map<string, { series: string; sop: string }>();
  private shapes: Shape[] = [];
  private opacity = 0.5;
  private streaming = 0;
  private turn: Turn = UPRIGHT;
  private readonly cine = new Cine(() => this.goTo((this.viewport.getCurrentImageIdIndex() + 1) % this.ids.length));

  static open(element: HTMLDivElement, listener: Listener): Viewer {
    warm();
    return new Viewer(element, listener);
  }

  private constructor(
    element: HTMLDivElement,
    private readonly listener: Listener,
  ) {
    this.engine = new RenderingEngine(this.id);
    this.engine.enableElement({ viewportId: this.id, type: Enums.ViewportType.STACK, element, defaultOptions: { background: [0, 0, 0] } });
    this.viewport = this.engine.getViewport<Types.IStackViewport>(this.id);
    mendPlaces(this.viewport, this.byProcessor);
    this.canvas.className = "overlay";
    element.append(this.canvas);
    element.addEventListener(Enums.Events.IMAGE_RENDERED, () => this.rendered());
    element.addEventListener(Enums.Events.STACK_NEW_IMAGE, () => this.listener.slice(this.viewport.getCurrentImageIdIndex()));
    const tools = ToolGroupManager.createToolGroup(this.id)!;
    for (const tool of [StackScrollTool.toolName, ...Object.values(TOOLS)]) tools.addTool(tool, tool === TOOLS.arrow ? WORDLESS : {});
    tools.addViewport(this.id, this.id);
    this.use("window");
    new Magnifier(
      this.engine,
      this.viewport,
      this.byProcessor,
      () => (this.tool === "magnify" ? this.turn : undefined),
      this.closed.signal,
    );
    // A finger that is held still gets the window until it is lifted.
    element.addEventListener(ToolEnums.Events.TOUCH_PRESS, () => this.scrollsByFinger && this.bind((this.held = true)));
    element.addEventListener(ToolEnums.Events.TOUCH_END, () => this.held && this.bind((this.held = false)));
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(element);
    onOtherDisplay(() => this.resize(), this.closed.signal);
  }

  /** Shows a series from slice `at`; the rest streams in from there outwards. */
  async show(series: string, images: Picture[], at: number): Promise<void> {
    this.images = images;
    this.ids = images.map((image) => `wadouri:${image.url}`);
    this.ids.forEach((id, i) => this.seen.set(id, { series, sop: images[i]!.sop_uid }));
    this.cine.stop();
    this.turn = UPRIGHT;
    await this.viewport.setStack(this.ids, at);
    this.resize();
    this.viewport.render();
    this.listener.slice(at);
    void this.stream(at);
  }

  goTo(index: number): void {
    if (index < 0 || index >= this.ids.length) return;
    void this.viewport.setImageIdIndex(index);
  }

  scroll(by: number): void {
    this.goTo(Math.min(Math.max(this.viewport.getCurrentImageIdIndex() + by, 0), this.ids.length - 1));
  }

  window(centre: number, width: number): void {
    if (!this.viewport.getImageData()) return;
    this.viewport.setProperties({ voiRange: { lower: centre - width / 2, upper: centre + width / 2 } });
    this.viewport.render();
  }

  reset(): void {
    if (!this.viewport.getImageData()) return;
    this.turn = UPRIGHT;
    this.fit();
    this.viewport.resetProperties();
    this.viewport.render();
  }

  /** The whole image as large as it fits, as it is turned. */
  fit(): void {
    if (!this.viewport.getImageData()) return;
    apply(this.viewport, UPRIGHT);
    this.viewport.resetCamera();
    apply(this.viewport, this.turn);
    if (this.turn.rotation % 180) this.zoomBy(this.room());
    this.viewport.render();
  }

  /** A pixel of the image on each pixel of the screen. */
  oneToOne(): void {
    if (!this.viewport.getImageData()) return;
    this.zoomBy(1 / zoomOf(this.viewport));
    this.viewport.render();
  }

  turnTo(way: Way): void {
    this.turn = turned(this.turn, way);
    this.fit();
  }

  invert(): void {
    if (!this.viewport.getImageData()) return;
    this.viewport.setProperties({ invert: !this.viewport.getProperties().invert });
    this.viewport.render();
  }

  /** Whether it plays now. */
  play(): boolean {
    if (this.ids.length > 1) this.cine.toggle();
    return this.cine.runs;
  }

  private zoomBy(factor: number): void {
    const { parallelScale } = this.viewport.getCamera();
    if (parallelScale) this.viewport.setCamera({ parallelScale: parallelScale / factor });
  }

  /** By how much larger the image may be drawn until it meets the element's sides. Cornerstone fits it as if it were upright. */
  private room(): number {
    const [columns, rows] = this.viewport.getImageData().dimensions;
    const corners = [
      [-0.5, -0.5],
      [columns - 0.5, rows - 0.5],
    ].map(([column, row]) => this.viewport.worldToCanvas(worldOf(this.viewport, column!, row!)));
    const { clientWidth, clientHeight } = this.viewport.element;
    return Math.min(clientWidth / Math.abs(corners[1]![0] - corners[0]![0]), clientHeight / Math.abs(corners[1]![1] - corners[0]![1]));
  }

  /** Fits the image to its element and to the display's pixels. Without an image there is nothing to fit, and the
   *  processor's rendering says so by an error. */
  private resize(): void {
    if (!this.viewport.getImageData()) return;
    if (this.byProcessor) fillDisplay(this.viewport.canvas);
    else this.engine.resize(true, false);
    this.fit();
  }

  use(tool: Tool): void {
    this.tool = tool;
    this.bind();
  }

  /** One finger scrolls, unless a tool is chosen that one finger can use and two cannot. */
  private get scrollsByFinger(): boolean {
    return this.tool === "window" || this.tool === "zoom";
  }

  /** Binds the tools to the mouse's buttons and to fingers: two always zoom and pan. With `windows`, one finger sets
   *  the window. */
  private bind(windows = false): void {
    const group = ToolGroupManager.getToolGroup(this.id)!;
    const { Primary, Auxiliary, Secondary, Wheel } = ToolEnums.MouseBindings;
    for (const name of [StackScrollTool.toolName, ...Object.values(TOOLS)]) group.setToolPassive(name, { removeAllBindings: true });
    const bindings: Record<string, ToolTypes.IToolBinding[]> = {
      [StackScrollTool.toolName]: [{ mouseButton: Wheel }],
      [TOOLS.pan]: [{ mouseButton: Auxiliary }],
      [TOOLS.zoom]: [{ mouseButton: Secondary }, { numTouchPoints: 2 }],
    };
    if (this.tool !== "magnify")
      bindings[TOOLS[this.tool]] = [{ mouseButton: Primary }, ...(this.tool === "zoom" ? [{ numTouchPoints: 2 }] : [])];
    // Of two tools that one finger would move, Cornerstone takes the one that was added first.
    if (windows) bindings[TOOLS.window] = [...(bindings[TOOLS.window] ?? []), { numTouchPoints: 1 }];
    else if (this.scrollsByFinger) bindings[StackScrollTool.toolName]!.push({ numTouchPoints: 1 });
    for (const [name, bound] of Object.entries(bindings)) group.setToolActive(name, { bindings: bound });
  }

  overlay(shapes: Shape[], opacity: number): void {
    this.shapes = shapes;
    this.opacity = opacity;
    this.paintOverlay();
  }

  /** What was measured by hand on any series, each under a name to forget it by; `null` where the image has no scale. */
  measurements(): Drawn[] {
    return this.drawnByHand().flatMap((found) => {
      const image = this.seen.get(found.metadata?.referencedImageId ?? "");
      if (!image || !isWhole(found)) return [];
      return [{ uid: found.annotationUID!, measured: measuredOf(found, image.series, image.sop) }];
    });
  }

  /** The annotations on this viewer's images: another may lie beside it. */
  private drawnByHand(): ToolTypes.Annotation[] {
    return annotation.state.getAllAnnotations().filter((found) => this.seen.has(found.metadata?.referencedImageId ?? ""));
  }

  /** Takes the last stroke back, drawn or moved; or does it again. */
  undo(again = false): void {
    const { DefaultHistoryMemo: history } = utilities.HistoryMemo;
    if (again) history.redo();
    else history.undo();
    this.viewport.render();
  }

  forget(uid: string): void {
    annotation.state.removeAnnotation(uid);
    this.viewport.render();
  }

  close(): void {
    this.streaming++;
    this.cine.stop();
    this.closed.abort();
    this.resizing.disconnect();
    for (const found of this.drawnByHand()) annotation.state.removeAnnotation(found.annotationUID!);
    ToolGroupManager.destroyToolGroup(this.id);
    this.engine.destroy();
  }

  private rendered(): void {
    if (this.viewport.getImageData()) this.listener.drawn(readoutOf(this.viewport));
    this.paintOverlay();
  }

  private async stream(at: number): Promise<void> {
    const run = ++this.streaming;
    const order = this.ids.map((_, i) => i).sort((a, b) => Math.abs(a - at) - Math.abs(b - at));
    let loaded = 0;
    const next = async (): Promise<void> => {
      for (let i = order.shift(); i !== undefined && run === this.streaming; i = order.shift()) {
        await imageLoader.loadAndCacheImage(this.ids[i]!).catch(() => undefined);
        if (run === this.streaming) this.listener.loaded(++loaded);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
  }

  private paintOverlay(): void {
    const id = this.viewport.getCurrentImageId();
    const image = this.images[this.ids.indexOf(id ?? "")];
    if (!image || !this.viewport.getImageData()) return;
    const place = (column: number, row: number): [number, number] => this.viewport.worldToCanvas(worldOf(this.viewport, column, row));
    paint(this.canvas, this.shapes, image.key, this.opacity, place);
  }
}
