/** What was typed into or chosen in a form's field of that name; empty where the form has no such field. */
export function typed(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}
