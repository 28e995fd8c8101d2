/** How times, intervals and amounts are written for people. */

export function interval(ms: number): string {
  const minutes = Math.floor(Math.abs(ms) / 60_000);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")}`;
  return `${Math.floor(hours / 24)} days`;
}

export function clock(iso: string): string {
  return iso ? new Date(iso).toLocaleString(undefined, { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" }) : "";
}

/** A moment of a log: with its year and seconds. */
export function moment(iso: string): string {
  return iso ? new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }) : "";
}

/** A date as DICOM writes it (YYYYMMDD), for people; what is no such date stays as it is. */
export function day(dicom: string): string {
  const [, year, month, date] = /^(\d{4})(\d{2})(\d{2})$/.exec(dicom) ?? [];
  const found = new Date(Number(year), Number(month) - 1, Number(date));
  return year && found.getMonth() === Number(month) - 1 ? found.toLocaleDateString(undefined, { dateStyle: "long" }) : dicom;
}

export function seconds(value: number): string {
  return value < 90 ? `${value.toFixed(1)} s` : interval(value * 1000);
}

export function percent(value: number): string {
  return value > 0 && value < 0.01 ? "< 1 %" : `${Math.round(value * 100)} %`;
}

export function exam(study: { modality: string; body_part: string; instances: number }): string {
  const part = study.body_part ? study.body_part.charAt(0) + study.body_part.slice(1).toLowerCase() : "";
  return [study.modality, part].filter(Boolean).join(" ") || "Unknown";
}

export const CATEGORY: Record<1 | 2 | 3, string> = { 1: "within minutes", 2: "within hours", 3: "within days" };

/** How long before (or after) the current study another was made: an interval tells no date. */
export function ago(days: number | null): string {
  if (days === null) return "interval unknown";
  if (days === 0) return "the same day";
  const count = Math.abs(days);
  const [amount, unit] =
    count < 60 ? [count, "day"] : count < 730 ? [Math.round(count / 30.44), "month"] : [Math.round(count / 365.25), "year"];
  return `${days < 0 ? "−" : "+"}${amount} ${unit}${amount === 1 ? "" : "s"}`;
}

/** A small amount of money: what a study costs is cents, and less. */
export function dollars(usd: number): string {
  return `US$ ${usd >= 100 ? usd.toFixed(0) : usd >= 1 ? usd.toFixed(2) : usd.toPrecision(2)}`;
}

/** "1 image", "2 images". */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`;
}

export function images(count: number): string {
  return counted(count, "image");
}
