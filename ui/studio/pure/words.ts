/** Figures as people read them. */

export function duration(seconds: number): string {
  if (seconds < 0.95) return "under a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export function dollars(amount: number): string {
  if (amount > 0 && amount < 0.00005) return "under $0.0001";
  const digits = amount > 0 && amount < 0.1 ? 4 : 2;
  return `$${amount.toFixed(digits)}`;
}

export function bytes(count: number): string {
  return count < 1e6 ? `${Math.max(1, Math.round(count / 1e3))} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

export function when(instant: string): string {
  return new Date(instant).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** Such as concept-art: "Concept art"; 3d-render: "3D render". */
export function title(name: string): string {
  const words = name.replaceAll("-", " ").replaceAll(/\b\d+d\b/g, (word) => word.toUpperCase());
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function counted(count: number, one: string, more = `${one}s`): string {
  return `${count.toLocaleString()} ${count === 1 ? one : more}`;
}
