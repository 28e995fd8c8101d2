/** What the page says of a study, as plain text for a report or a dictation system. It holds the handle, and no name. */

import type { Finding, FindingAssessment as Verdict, Measured, Missed, StudyDetail } from "../../../generated/api-types.js";
import { CATEGORY, clock, exam, images, percent } from "../../format.js";

const VERDICT = { accept: "Accepted by the reader", reject: "Rejected by the reader", correct: "Corrected by the reader" };
const TOOL = { length: "Length", ellipse: "Area", angle: "Angle", bidirectional: "Bidirectional", arrow: "Arrow" };
const UNIT: Record<Measured["unit"], string> = { mm: " mm", mm2: " mm²", px: " pixels", px2: " pixels²", deg: "°", none: "" };

/** All of the study: the AI's label with its findings and the verdicts, what the readers added, measured and signed. */
export function studyText({ study, review }: StudyDetail, sliceOf: (finding: Finding) => number): string {
  const model = study.provenance?.model;
  const by = model && study.label !== "NOT ANALYSED: read as usual" ? ` (${model.name} ${model.version}: ${model.disclaimer})` : "";
  const lines = [
    `Study ${study.handle}: ${exam(study)}, ${images(study.instances)}`,
    `AI result: ${study.label}${by}`,
    ...(study.part ? [`Read in part: ${study.part}`] : []),
    ...(study.reason ? [`Reason: ${study.reason}`] : []),
    ...study.findings.map(
      (f, i) =>
        `${i + 1}. ${study.models.length > 1 ? `${study.found_by[f.key] ?? ""}: ` : ""}${findingText(f, review.verdicts[f.key], sliceOf(f))}`,
    ),
    ...review.missed.map((m) => `Added by the reader: ${missedText(m)}`),
    ...review.measurements.map((m) => `Measured: ${measuredText(m)}`),
    review.state === "signed"
      ? `AI result reviewed by ${review.reader_name}, ${clock(review.signed)}`
      : "The review of the AI result is not signed",
    "For prioritising and the review of AI results, not for primary diagnosis.",
  ];
  return `${lines.join("\n")}\n`;
}

export function findingText(f: Finding, verdict: Verdict | undefined, slice: number): string {
  const [size, category, site] = [verdict?.diameter_mm ?? f.diameter_mm, verdict?.category ?? f.category, verdict?.site || f.site];
  const where = [site, size ? `${size.toFixed(1)} mm` : "", size ? `slice ${slice}` : ""].filter(Boolean).join(", ");
  const said = verdict ? ` ${VERDICT[verdict.verdict]}${verdict.comment ? `: ${verdict.comment}` : ""}.` : " Not judged by a reader yet.";
  return `${f.concept.meaning}${where ? `, ${where}` : ""}; AI ${percent(f.probability)}; communicate ${CATEGORY[category]}.${said}`;
}

function missedText(m: Missed): string {
  const size = m.diameter_mm ? `${m.diameter_mm} mm` : "";
  return `${[m.what, m.site, size, `slice ${m.slice + 1}`].filter(Boolean).join(", ")}; communicate ${CATEGORY[m.category]}.${m.comment ? ` ${m.comment}` : ""}`;
}

/** "Length 14.2 mm", "Area 120 mm², mean 40 HU, SD 12". */
export function measuredText(m: Measured): string {
  if (m.tool === "arrow") return TOOL.arrow;
  const short = m.short == null ? "" : ` × ${figure(m.short)}`;
  const inside = m.mean_hu == null || m.sd_hu == null ? "" : `, mean ${Math.round(m.mean_hu)} HU, SD ${Math.round(m.sd_hu)}`;
  return `${TOOL[m.tool]} ${figure(m.value)}${short}${UNIT[m.unit]}${inside}`;
}

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

/** Puts a text onto the clipboard; without one (an old browser, a page without https) the person copies it from a dialog. */
export async function copy(text: string, dialog: HTMLDialogElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = dialog.querySelector("textarea")!;
    area.value = text;
    dialog.showModal();
    area.select();
    return false;
  }
}
