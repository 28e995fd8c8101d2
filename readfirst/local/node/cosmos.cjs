// The Cosmos-compatible server with our own certificate: its command line can only use the one it ships with.
// usage: node cosmos.cjs PORT CERTIFICATE KEY
"use strict";
const { readFileSync } = require("node:fs");
const { createHttpsServer } = require("@vercel/cosmosdb-server");

const [port, certificate, key] = process.argv.slice(2);
const server = createHttpsServer({
  cert: readFileSync(certificate),
  key: readFileSync(key),
  keepAlive: true, // without it every request pays for a TLS handshake
});
// Its check of a document's partition fails on a document that is not there, with a 500; the operation itself does not.
server.prependListener("request", (request) => {
  if (request.method === "GET" && /\/docs\/[^/]+\/?$/.test(request.url))
    request.headers["x-ms-documentdb-query-enablecrosspartition"] = "true";
});
server.keepAliveTimeout = 60_000; // longer than the SDK's pool keeps a connection: no request meets a closing socket
server.listen(Number(port), "127.0.0.1", () => console.log(`Cosmos-compatible server on port ${port}`));
process.on("SIGTERM", () => process.exit(0));
