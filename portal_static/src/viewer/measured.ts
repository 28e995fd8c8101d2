/** What was measured by hand, as the review keeps it: in the image's own scale, or not at all. */

import { metaData, type Types } from "@cornerstonejs/core";
import { LengthTool, type Types as ToolTypes } from "@cornerstonejs/tools";

import type { MeasuredInput } from "../../generated/api-types.js";

/** One measurement; `null` where the image has no scale that it could be kept in. */
export function measuredOf(found: ToolTypes.Annotation, series: string, sop: string): MeasuredInput | null {
  const points = found.data.handles!.points as Types.Point3[];
  const unit = unitOf(found.metadata!.referencedImageId!);
  if (!unit) return null;
  const length = found.metadata!.toolName === LengthTool.toolName;
  // From the points themselves: the tool's own figures lag behind while the hand moves. An ellipse's are the ends of its
  // axes, in pairs.
  const value = length
    ? distance(points[0]!, points[1]!)
    : (Math.PI / 4) * distance(points[0]!, points[1]!) * distance(points[2]!, points[3]!);
  return {
    kind: "measured",
    tool: length ? "length" : "ellipse",
    series_uid: series,
    sop_uid: sop,
    points: points.map((p) => [p[0], p[1], p[2]]),
    value,
    unit: length ? unit : `${unit}2`,
  };
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
