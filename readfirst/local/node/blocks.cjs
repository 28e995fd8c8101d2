// Azurite with the rule of service version 2026-04-06: an address that may create, and not write, may also send a new
// blob in blocks (Put Block, Put Block from URL, Put Block List). Azurite 3.35 follows older versions, in which blocks
// ask for `write`. Which version counts is said by the address (`sv`), not by the tool that uses it:
// https://learn.microsoft.com/rest/api/storageservices/versioning-for-the-azure-storage-services
// As in a Put Blob, `create` does not reach a blob that is there.
"use strict";
const { default: Authenticator } = require("azurite/dist/src/blob/authentication/BlobSASAuthenticator.js");
const { default: Operation } = require("azurite/dist/src/blob/generated/artifacts/operation.js");

const SINCE = "2026-04-06";
const BLOCKS = new Set([Operation.BlockBlob_StageBlock, Operation.BlockBlob_StageBlockFromURL, Operation.BlockBlob_CommitBlockList]);
const validate = Authenticator.prototype.validate;

Authenticator.prototype.validate = async function (request, context) {
  const operation = context.operation;
  if (!BLOCKS.has(operation) || (request.getQuery("sv") ?? "") < SINCE) return validate.call(this, request, context);
  context.operation = Operation.BlockBlob_Upload; // asks for the same rights
  try {
    return await validate.call(this, request, context);
  } finally {
    context.operation = operation;
  }
};
