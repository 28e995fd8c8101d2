// Opens a segmentation and a report as OHIF does (dcmjs), and prints what it finds, as JSON.
// node read.mjs seg.dcm sr.dcm

import { readFileSync } from "node:fs";
import dcmjs from "dcmjs";

const { DicomMessage, DicomMetaDictionary, BitArray } = dcmjs.data;

function open(path) {
  const bytes = readFileSync(path);
  const file = DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return DicomMetaDictionary.naturalizeDataset(file.dict);
}

const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value]);
const first = (value) => list(value)[0];

/** Segments, and for each the source images on which it has pixels, with their count. */
function segments(seg) {
  const size = seg.Rows * seg.Columns;
  const pixels = BitArray.unpack(first(seg.PixelData));
  const found = Object.fromEntries(list(seg.SegmentSequence).map((s) => [s.SegmentNumber, { label: s.SegmentLabel, pixels: {} }]));
  list(seg.PerFrameFunctionalGroupsSequence).forEach((groups, k) => {
    const shared = first(seg.SharedFunctionalGroupsSequence);
    const number = first(groups.SegmentIdentificationSequence ?? shared.SegmentIdentificationSequence).ReferencedSegmentNumber;
    const source = first(first(groups.DerivationImageSequence).SourceImageSequence);
    const count = pixels.subarray(k * size, (k + 1) * size).reduce((sum, value) => sum + (value ? 1 : 0), 0);
    if (count) found[number].pixels[`${source.ReferencedSOPInstanceUID}#${source.ReferencedFrameNumber ?? 0}`] = count;
  });
  return found;
}

const meaning = (item) => first(item.ConceptNameCodeSequence)?.CodeMeaning;
const children = (item) => list(item.ContentSequence);

/** The measurement groups of a TID 1500 report: what was measured, evaluated and referenced. */
function groups(report) {
  const measurements = children(report).filter((item) => meaning(item) === "Imaging Measurements").flatMap(children);
  return measurements.filter((item) => meaning(item) === "Measurement Group").map((group) => {
    const told = { measurements: {}, evaluations: {}, segment: null };
    for (const item of children(group)) {
      if (item.ValueType === "NUM") told.measurements[meaning(item)] = Number(first(item.MeasuredValueSequence).NumericValue);
      if (item.ValueType === "CODE") told.evaluations[meaning(item)] = first(item.ConceptCodeSequence).CodeMeaning;
      if (item.ValueType === "IMAGE") told.segment = first(item.ReferencedSOPSequence).ReferencedSegmentNumber ?? told.segment;
    }
    return told;
  });
}

const [segPath, srPath] = process.argv.slice(2);
const sr = open(srPath);
const template = first(sr.ContentTemplateSequence).TemplateIdentifier;
console.log(JSON.stringify({ segments: segments(open(segPath)), template, groups: groups(sr) }));
