// Azurite with a journal. Azurite keeps what it knows (which blob, message or entity exists) in memory and writes it
// to disk every five seconds: SIGKILL loses writes that it has acknowledged. Azure Storage never does, so nothing that
// is built on it has to survive that. Here every change is appended to a journal before the answer is sent, and a
// restart replays what the last snapshot lacks. (Contents of blobs are on disk before the answer anyway. A power cut
// may still lose the last moments: nothing is flushed through the disk's cache.)
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const Loki = require("lokijs");

const SNAPSHOT_INTERVAL_MS = 30_000; // the journal makes frequent snapshots needless
const original = { ...Loki.prototype };

// One journal per database: FILE.journal-N. A snapshot begins the next N, and removes the older ones once it is safe.
class Journal {
  constructor(file) {
    this.file = file;
    this.number = Math.max(0, ...this.parts().map(([number]) => number));
    this.descriptor = null;
    this.muted = false;
  }

  parts() {
    const prefix = `${path.basename(this.file)}.journal-`;
    const folder = path.dirname(this.file);
    if (!fs.existsSync(folder)) return [];
    return fs
      .readdirSync(folder)
      .filter((name) => name.startsWith(prefix))
      .map((name) => [Number(name.slice(prefix.length)), path.join(folder, name)])
      .sort(([a], [b]) => a - b);
  }

  write(...entry) {
    if (this.muted) return;
    this.descriptor ??= fs.openSync(`${this.file}.journal-${this.number}`, "a", 0o600);
    fs.writeSync(this.descriptor, `${JSON.stringify(entry)}\n`);
  }

  next() {
    if (this.descriptor !== null) fs.closeSync(this.descriptor);
    this.descriptor = null;
    this.number += 1;
    return this.number;
  }

  forget(before) {
    for (const [number, file] of this.parts()) if (number < before) fs.unlinkSync(file);
  }

  *entries() {
    for (const [, file] of this.parts()) {
      for (const line of fs.readFileSync(file, "utf8").split("\n")) {
        // The last line may be half written: then its answer was never sent.
        try {
          if (line) yield JSON.parse(line);
        } catch {
          console.log(`the journal ${file} ends in the middle of an entry`);
        }
      }
    }
  }
}

const journals = new WeakMap();
function journalOf(db) {
  if (!journals.has(db)) journals.set(db, new Journal(db.filename));
  return journals.get(db);
}

function replay(db, journal) {
  const changed = new Map(); // collection -> id -> document, or null where it was deleted
  for (const [kind, name, value] of journal.entries()) {
    if (kind === "drop") {
      changed.delete(name);
      db.removeCollection(name);
    } else if (kind === "add") {
      db.addCollection(name, value ?? undefined);
    } else {
      if (!changed.has(name)) changed.set(name, new Map());
      if (kind === "put") changed.get(name).set(value.$loki, value);
      else changed.get(name).set(value, null);
    }
  }
  for (const [name, documents] of changed) rebuild(db.getCollection(name), documents);
}

function rebuild(collection, documents) {
  const all = new Map(collection.data.map((document) => [document.$loki, document]));
  for (const [id, document] of documents) document === null ? all.delete(id) : all.set(id, document);
  collection.data = [...all.values()].sort((a, b) => a.$loki - b.$loki);
  collection.maxId = Math.max(collection.maxId, ...documents.keys());
  collection.ensureId();
  collection.ensureAllIndexes(true);
  collection.constraints.unique = {};
  for (const field of collection.uniqueNames) collection.ensureUniqueIndex(field);
  collection.dirty = true;
}

Loki.prototype.loadDatabase = function (options, callback) {
  const journal = journalOf(this);
  journal.muted = true;
  original.loadDatabase.call(this, options, (error) => {
    if (!error) replay(this, journal);
    journal.muted = false;
    callback(error);
  });
};

Loki.prototype.addCollection = function (name, options) {
  const known = this.getCollection(name);
  const collection = original.addCollection.call(this, name, options);
  if (known) return collection;
  const journal = journalOf(this);
  journal.write("add", name, options);
  const put = (documents) => [documents].flat().forEach((document) => journal.write("put", name, document));
  collection.on("insert", put);
  collection.on("update", put);
  collection.on("delete", (document) => journal.write("delete", name, document.$loki));
  return collection;
};

Loki.prototype.removeCollection = function (name) {
  original.removeCollection.call(this, name);
  journalOf(this).write("drop", name);
};

Loki.prototype.saveDatabaseInternal = function (callback) {
  const journal = journalOf(this);
  const begun = journal.next(); // the snapshot is taken in this very turn: it holds all that was journaled before
  original.saveDatabaseInternal.call(this, (error) => {
    if (!error) journal.forget(begun);
    callback?.(error);
  });
};

Loki.prototype.autosaveEnable = function (options, callback) {
  this.autosaveInterval = SNAPSHOT_INTERVAL_MS;
  original.autosaveEnable.call(this, options, callback);
};

require("./blocks.cjs");
require("azurite/dist/src/azurite.js");
