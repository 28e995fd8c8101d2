/** Where a study is in the portal, and where the API is. The definition is shared with the e-mail, the API and the command line. */

import defined from "../../readfirst/domain/addresses.json";

/** Where the API is, on the apps' own hosts. */
export const API = defined.api;

/** The characters of a handle, as a class of a regular expression has them between its brackets. */
export const HANDLE_CHARACTERS = defined.handleCharacters;

const HOLES: Record<string, string> = { handle: `[${HANDLE_CHARACTERS}]{8}`, token: defined.token };
const FORMS = [defined.study, ...defined.older].map(
  (form) => new RegExp(`^${form.replace(/\{(\w+)\}/, (_, name: string) => `(${HOLES[name]})`)}/?$`, "i"),
);

/** The path of a study's page. */
export function studyPath(handle: string): string {
  return defined.study.replace("{handle}", handle);
}

/** How a path names a study: by its handle, or, from an older address, by its token. Undefined where it names none. */
export function studyOf(path: string): string | undefined {
  const named = FORMS.map((form) => form.exec(path)?.[1]).find((found) => found);
  return named && (named.length === 8 ? named.toUpperCase() : named.toLowerCase());
}
