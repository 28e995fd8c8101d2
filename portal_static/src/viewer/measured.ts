/** What was measured by hand, as the review keeps it: in the image's own scale, or not at all. */

import { metaData, type Types } from "@cornerstonejs/core";
import {
  AngleTool,
  ArrowAnnotateTool,
  BidirectionalTool,
  EllipticalROITool,
  LengthTool,
  type Types as ToolTypes,
} from "@cornerstonejs/tools";

import type { MeasuredInput } from "../../generated/api-types.js";

type Tool = MeasuredInput["tool"];
type Point = Types.Point3;

const KINDS: Record<string, { tool: Tool; points: number }> = {
  [LengthTool.toolName]: { tool: "length", points: 2 },
  [EllipticalROITool.toolName]: { tool: "ellipse", points: 4 },
  [AngleTool.toolName]: { tool: "angle", points: 3 },
  [BidirectionalTool.toolName]: { tool: "bidirectional", points: 4 },
  [ArrowAnnotateTool.toolName]: { tool: "arrow", points: 2 },
};

/** Whether all of its points are set: while it is drawn it has fewer. */
export function isWhole(found: ToolTypes.Annotation): boolean {
  const kind = KINDS[found.metadata?.toolName ?? ""];
  return kind !== undefined && (found.data.handles?.points?.length ?? 0) >= kind.points;
}

/** One measurement; `null` where the image has no scale that it could be kept in. */
export function measuredOf(found: ToolTypes.Annotation, series: string, sop: string): MeasuredInput | null {
  const points = found.data.handles!.points as Point[];
  const unit = unitOf(found.metadata!.referencedImageId!);
  if (!unit) return null;
  const { tool } = KINDS[found.metadata!.toolName]!;
  return {
    kind: "measured",
    tool,
    series_uid: series,
    sop_uid: sop,
    points: points.map((p) => [p[0], p[1], p[2]]),
    ...valueOf(tool, points, unit),
    ...insideOf(tool, found),
  };
}

/** From the points themselves: the tool's own figures lag behind while the hand moves. */
function valueOf(tool: Tool, points: Point[], unit: "mm" | "px"): Pick<MeasuredInput, "value" | "unit" | "short"> {
  const [a, b, c, d] = points as [Point, Point, Point, Point];
  switch (tool) {
    case "length":
      return { value: distance(a, b), unit };
    case "ellipse": // the ends of its axes, in pairs
      return { value: (Math.PI / 4) * distance(a, b) * distance(c, d), unit: `${unit}2` };
    case "angle":
      return { value: angle(a, b, c), unit: "deg" };
    case "bidirectional": {
      const [short, long] = [distance(a, b), distance(c, d)].sort((one, other) => one - other) as [number, number];
      return { value: long, short, unit };
    }
    case "arrow":
      return { value: 0, unit: "none" };
  }
}

/** What the tool has counted inside an area, where the values are Hounsfield units. */
function insideOf(tool: Tool, found: ToolTypes.Annotation): Pick<MeasuredInput, "mean_hu" | "sd_hu"> {
  const [stats] = Object.values(found.data.cachedStats ?? {}) as { mean?: number; stdDev?: number; modalityUnit?: string }[];
  if (tool !== "ellipse" || stats?.modalityUnit !== "HU" || stats.mean === undefined || stats.stdDev === undefined) return {};
  return { mean_hu: stats.mean, sd_hu: stats.stdDev };
}

/** At `corner`, in degrees. */
function angle(one: Point, corner: Point, other: Point): number {
  const [u, v] = [one, other].map((end) => [end[0] - corner[0], end[1] - corner[1], end[2] - corner[2]]) as [number[], number[]];
  const dot = u[0]! * v[0]! + u[1]! * v[1]! + u[2]! * v[2]!;
  const size = Math.hypot(...u) * Math.hypot(...v);
  return size ? (Math.acos(Math.min(1, Math.max(-1, dot / size))) * 180) / Math.PI : 0;
}

/** Millimetres where the image says what a pixel measures, pixels where it does not, nothing where one figure for all of
 *  its pixels would be wrong: an ultrasound image has its scales by region (PS3.3 C.8.5.5), and not every one is a length. */
export function unitOf(imageId: string): "mm" | "px" | undefined {
  const regions = metaData.get("calibrationModule", imageId) as { sequenceOfUltrasoundRegions?: unknown[] } | undefined;
  if (regions?.sequenceOfUltrasoundRegions?.length) return undefined;
  const plane = metaData.get("imagePlaneModule", imageId) as
    { usingDefaultValues: boolean; rowPixelSpacing: number; columnPixelSpacing: number } | undefined;
  if (!plane) return undefined;
  if (plane.usingDefaultValues) return "px";
  return [plane.rowPixelSpacing, plane.columnPixelSpacing].every((spacing) => spacing > 0 && spacing < Infinity) ? "mm" : undefined;
}

function distance(a: Types.Point3, b: Types.Point3): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}
