/** Uploads from the browser: folders walked, small files put at once, large ones in blocks that a reload does not lose.
 *
 *  The addresses create: they list, read and delete nothing. What was sent is remembered by a digest of the file's name,
 *  size and time (a name can be a patient's), so that the same folder dropped again sends only the rest. */

import type { UploadAddress } from "../generated/api-types.js";
import type { Api } from "./api.js";

const BLOCK = 4 << 20;
const TRIES = 5;
const BLOCKS_AT_ONCE = 3;
const REMEMBERED_DAYS = 6; // the storage forgets blocks without a file after seven
const MEMORY = "readfirst.uploads";

export interface Picked {
  file: File;
  name: string;
}

/** The files of what was dropped, folders walked, with their paths as names. */
export async function filesOf(dropped: DataTransfer): Promise<Picked[]> {
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map(walk))).flat();
}

async function walk(entry: FileSystemEntry): Promise<Picked[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed));
    return [{ file, name: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: Picked[] = [];
  for (;;) {
    // A reader gives a hundred entries at a time, and none when it is at the end.
    const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    found.push(...(await Promise.all(some.map(walk))).flat());
  }
}

interface Remembered {
  folder: string;
  /** The blocks that have arrived; empty for a small file. */
  blocks: number[];
  done: boolean;
  at: number;
}

/** What this browser has sent, or begun to send. */
class Memory {
  private readonly known: Record<string, Remembered>;

  constructor() {
    const all = JSON.parse(localStorage.getItem(MEMORY) ?? "{}") as Record<string, Remembered>;
    const oldest = Date.now() - REMEMBERED_DAYS * 86_400_000;
    this.known = Object.fromEntries(Object.entries(all).filter(([, one]) => one.at > oldest));
  }

  get(key: string): Remembered | undefined {
    return this.known[key];
  }

  put(key: string, one: Remembered): void {
    this.known[key] = one;
    localStorage.setItem(MEMORY, JSON.stringify(this.known));
  }

  forget(key: string): void {
    delete this.known[key];
    localStorage.setItem(MEMORY, JSON.stringify(this.known));
  }
}

/** Sends files to a clinic's inbox. */
export class Sender {
  private readonly memory = new Memory();
  private readonly folder = `portal-${crypto.randomUUID()}`;
  private inbox: Promise<string> | undefined;

  constructor(
    private readonly api: Api,
    private readonly clinic: string,
  ) {}

  /** "before": it was sent already, and nothing was sent now. */
  async send(picked: Picked, again: boolean, progress: (share: number) => void): Promise<"sent" | "before"> {
    const key = await fingerprint(this.clinic, picked);
    if (again) this.memory.forget(key);
    const known = this.memory.get(key);
    if (known?.done) return "before";
    const one: Remembered = known ?? { folder: this.folder, blocks: [], done: false, at: Date.now() };
    const blob = `${one.folder}/${picked.name}`;
    if (picked.file.size > BLOCK) await this.inBlocks(key, one, blob, picked.file, progress);
    else await this.atOnce(blob, picked.file);
    this.memory.put(key, { ...one, blocks: [], done: true, at: Date.now() });
    progress(1);
    return "sent";
  }

  private async atOnce(blob: string, file: File): Promise<void> {
    const address = async (fresh: boolean): Promise<string> => {
      if (fresh) this.inbox = undefined;
      this.inbox ??= this.address("");
      const [base, signature] = (await this.inbox).split("?");
      return `${base}/${blob.split("/").map(encodeURIComponent).join("/")}?${signature}`;
    };
    await put(address, "", file, { "x-ms-blob-type": "BlockBlob" });
  }

  private async inBlocks(key: string, one: Remembered, blob: string, file: File, progress: (share: number) => void): Promise<void> {
    let signed: Promise<string> | undefined;
    const address = (fresh: boolean): Promise<string> => {
      if (fresh) signed = undefined;
      return (signed ??= this.address(blob));
    };
    await address(false);
    const count = Math.ceil(file.size / BLOCK);
    const open = Array.from({ length: count }, (_, i) => i).filter((i) => !one.blocks.includes(i));
    progress(one.blocks.length / count);
    const next = async (): Promise<void> => {
      for (let i = open.shift(); i !== undefined; i = open.shift()) {
        await put(address, `&comp=block&blockid=${encodeURIComponent(blockId(i))}`, file.slice(i * BLOCK, (i + 1) * BLOCK));
        one.blocks.push(i);
        this.memory.put(key, one);
        progress(one.blocks.length / count);
      }
    };
    await Promise.all(Array.from({ length: BLOCKS_AT_ONCE }, next));
    const list = Array.from({ length: count }, (_, i) => `<Latest>${blockId(i)}</Latest>`).join("");
    const body = new Blob([`<?xml version="1.0" encoding="utf-8"?><BlockList>${list}</BlockList>`], { type: "application/xml" });
    await put(address, "&comp=blocklist", body, { "If-None-Match": "*" });
  }

  private async address(blob: string): Promise<string> {
    return (await this.api.post<UploadAddress>("/uploads/address", { clinic: this.clinic, blob })).body.address;
  }
}

function blockId(index: number): string {
  return btoa(String(index).padStart(8, "0"));
}

async function fingerprint(clinic: string, { file, name }: Picked): Promise<string> {
  const text = new TextEncoder().encode([clinic, name, file.size, file.lastModified].join("\n"));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return [...digest.slice(0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Puts a piece, several times if need be. An address that has lapsed is asked for anew, once. */
async function put(
  address: (fresh: boolean) => Promise<string>,
  query: string,
  body: Blob,
  headers: Record<string, string> = {},
): Promise<void> {
  let fresh = false;
  for (let attempt = 1; ; attempt++) {
    const status: number = await fetch((await address(fresh)) + query, {
      method: "PUT",
      body,
      headers: { "x-ms-version": "2024-11-04", ...headers },
    }).then(
      (a) => a.status,
      () => 0,
    );
    // 409 and 412: it is there. An answer was lost, in this try or before a reload; nobody else knows the folder's name.
    const before = attempt > 1 || "If-None-Match" in headers;
    if ((status >= 200 && status < 300) || ((status === 409 || status === 412) && before)) return;
    if (status === 403 && fresh) throw new Error("the storage refuses it");
    fresh = status === 403;
    if (attempt === TRIES || (status >= 400 && status < 500 && ![403, 408, 429].includes(status))) throw new Error("the upload broke off");
    if (!fresh) await new Promise((later) => setTimeout(later, 400 * 2 ** attempt));
  }
}
