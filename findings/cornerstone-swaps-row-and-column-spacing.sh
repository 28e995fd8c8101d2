#!/usr/bin/env bash
# Cornerstone3D's utilities.imageToWorldCoords uses the spacing of rows along a row, and that of columns along a column
# (DICOM PS3.3 10.7.1.3: the first value of Pixel Spacing lies between rows). Where pixels are not square, what is drawn
# at its answers (an overlay, for instance) lies elsewhere. worldToImageCoords has the same exchange, so that a round
# trip does not show it.
#
# Seen with @cornerstonejs/core 5.14.0 under Node 20. Ends with 0 while it is so, with 1 when that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @cornerstonejs/core@5.14.0
cat >swapped.mjs <<'JS'
import { metaData, utilities } from "@cornerstonejs/core";
// Rows lie 2 mm apart, columns 0.5 mm; image coordinates begin at the first pixel's corner: its centre is [0.5, 0.5].
const plane = { rows: 100, columns: 100, rowCosines: [1, 0, 0], columnCosines: [0, 1, 0], imagePositionPatient: [0, 0, 0], rowPixelSpacing: 2, columnPixelSpacing: 0.5 };
metaData.addProvider((type) => (type === "imagePlaneModule" ? plane : undefined));
const [across] = utilities.imageToWorldCoords("image", [10.5, 0.5]);
const [, down] = utilities.imageToWorldCoords("image", [0.5, 10.5]);
console.log(`10 columns further: ${across} mm, by DICOM 5 mm; 10 rows further: ${down} mm, by DICOM 20 mm`);
process.exit(across === 20 && down === 5 ? 0 : 1);
JS
echo "@cornerstonejs/core $(node -p 'require("@cornerstonejs/core/package.json").version'), node $(node --version)"
node swapped.mjs
