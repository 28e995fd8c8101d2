/** The pictures of a series, and the pixels that a finding has on one. */

import type { ImageSeries, Masks } from "../generated/api-types.js";

/** One picture of the stack: an image, or a frame of one that has several (`frame` counts from 1; 0 where it has but one). */
export interface Picture {
  sop_uid: string;
  frame: number;
  /** How the segmented pixels name it. */
  key: string;
  at: number | null;
  url: string;
}

export function imagesOf(series: ImageSeries): Picture[] {
  return series.instances
    .filter((i) => i.image)
    .flatMap(({ sop_uid, frames, at, url }) =>
      frames > 1
        ? Array.from({ length: frames }, (_, i) => ({
            sop_uid,
            frame: i + 1,
            key: `${sop_uid}#${i + 1}`,
            at: null,
            url: `${url}&frame=${i + 1}`,
          }))
        : [{ sop_uid, frame: 0, key: sop_uid, at, url }],
    );
}

/** A finding's pixels: instance → runs [row, first column, length]. */
export type Mask = Masks["findings"][string];
