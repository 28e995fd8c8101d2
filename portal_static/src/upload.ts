/** Uploads from the browser: folders walked, files put in blocks through a create-only address, each block tried again. */

const BLOCK = 8 << 20;
const TRIES = 4;

/** The files of what was dropped, folders walked, with their paths as names. */
export async function filesOf(dropped: DataTransfer): Promise<{ file: File; name: string }[]> {
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map(walk))).flat();
}

async function walk(entry: FileSystemEntry): Promise<{ file: File; name: string }[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed));
    return [{ file, name: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: { file: File; name: string }[] = [];
  for (;;) {
    // A reader gives a hundred entries at a time, and none when it is at the end.
    const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    found.push(...(await Promise.all(some.map(walk))).flat());
  }
}

/** Puts a file into the container. Blocks that were sent stay there while a later one is tried again. */
export async function put(container: string, name: string, file: File, progress: (share: number) => void): Promise<void> {
  const [base, signature] = container.split("?");
  const address = `${base}/${name.split("/").map(encodeURIComponent).join("/")}?${signature}`;
  try {
    if (file.size > BLOCK) return await putBlocks(address, file, progress);
  } catch (error) {
    // A service older than 2026-04-06 (Azurite) lets a create-only address put no blocks: then in one piece.
    if (!(error instanceof Refused)) throw error;
  }
  await send(address, file, { "x-ms-blob-type": "BlockBlob" });
  progress(1);
}

async function putBlocks(address: string, file: File, progress: (share: number) => void): Promise<void> {
  const ids: string[] = [];
  for (let at = 0; at < file.size; at += BLOCK) {
    const id = btoa(String(ids.length).padStart(8, "0"));
    await send(`${address}&comp=block&blockid=${encodeURIComponent(id)}`, file.slice(at, at + BLOCK));
    ids.push(id);
    progress(Math.min(1, (at + BLOCK) / file.size));
  }
  const list = `<?xml version="1.0" encoding="utf-8"?><BlockList>${ids.map((id) => `<Latest>${id}</Latest>`).join("")}</BlockList>`;
  await send(`${address}&comp=blocklist`, new Blob([list], { type: "application/xml" }));
}

async function send(address: string, body: Blob, headers: Record<string, string> = {}): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await fetch(address, { method: "PUT", body, headers: { "x-ms-version": "2026-04-06", ...headers } });
      if (answer.ok) return;
      if (answer.status < 500 && answer.status !== 429) throw new Refused();
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    if (attempt === TRIES) throw new Error("the upload broke off");
    await new Promise((later) => setTimeout(later, 500 * 2 ** attempt));
  }
}

class Refused extends Error {}
