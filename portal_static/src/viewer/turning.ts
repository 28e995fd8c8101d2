/** How the picture lies on the screen: turned by quarters, and mirrored or not. Eight ways, each of which has one name. */

import type { Types } from "@cornerstonejs/core";

export interface Turn {
  /** Degrees clockwise on the screen, after mirroring. */
  readonly rotation: number;
  /** Whether left and right were exchanged first. */
  readonly mirrored: boolean;
}

export type Way = "left-right" | "top-bottom" | "clockwise";

export const UPRIGHT: Turn = { rotation: 0, mirrored: false };

/** As the reader sees it: what is on the left goes to the right, wherever the picture had been turned to. */
export function turned({ rotation, mirrored }: Turn, way: Way): Turn {
  if (way === "clockwise") return { rotation: (rotation + 90) % 360, mirrored };
  // A mirror behind a turn is the opposite turn behind a mirror.
  return { rotation: ((way === "left-right" ? 360 : 540) - rotation) % 360, mirrored: !mirrored };
}

/** Brings the viewport to that turn. */
export function apply(viewport: Types.IStackViewport, turn: Turn): void {
  viewport.setViewPresentation({ rotation: 0 });
  viewport.setCamera({ flipHorizontal: turn.mirrored }); // the presentation's own flip is never taken back
  viewport.setViewPresentation({ rotation: turn.rotation });
  // The processor's transform follows the next change of the camera, and the turn is none.
  const { scale } = viewport.getCamera();
  if (scale) viewport.setCamera({ scale });
}
