/** Who sees a list opens a study: its page and the viewer are fetched while the list is read. */

export async function fetchViewer(): Promise<void> {
  await import("./pages/study/study.js");
  (await import("./viewer/viewer.js")).warm();
}
