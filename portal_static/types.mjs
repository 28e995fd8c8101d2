// Makes generated/api-types.ts, the types of what the API takes and answers, from the API's description in the repository.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { URL } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const description = JSON.parse(readFileSync(new URL("../function_app/http/openapi.json", import.meta.url), "utf8"));
const types = await openapiTS(description, {
  rootTypes: true, // `StudyLine`, not only `components["schemas"]["StudyLine"]`
  rootTypesNoSchemaPrefix: true,
  rootTypesKeepCasing: true,
  defaultNonNullable: false, // what has a default may be left out of a body; answers say what they require
});
mkdirSync(new URL("generated/", import.meta.url), { recursive: true });
const made = `/* Made by \`npm run types\` from function_app/http/openapi.json: change the shapes beside the handlers. */\n\n${astToString(types)}`;
writeFileSync(new URL("generated/api-types.ts", import.meta.url), made);
