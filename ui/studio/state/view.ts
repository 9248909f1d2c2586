/** Which picture is open in the full view. It is in the address, so that the browser's Back closes it, and a reload
 * keeps it. */
import { signal } from "@preact/signals";

export interface Open {
  /** ID of the job. */
  readonly id: string;
  readonly index: number;
}

export class View {
  readonly open = signal<Open | null>(read());

  constructor() {
    addEventListener("hashchange", () => (this.open.value = read()));
  }

  show(open: Open): void {
    const hash = `#${encodeURIComponent(open.id)}/${open.index}`;
    // From one picture to the next is no step for Back.
    if (this.open.value === null) history.pushState({ isOurs: true }, "", hash);
    else history.replaceState(history.state, "", hash);
    this.open.value = open;
  }

  /** Show nothing, until `reveal`: it stays in the address. */
  cover(): void {
    this.open.value = null;
  }

  reveal(): void {
    this.open.value = read();
  }

  close(): void {
    this.open.value = null;
    if ((history.state as { isOurs?: boolean } | null)?.isOurs) history.back();
    else history.replaceState(null, "", location.pathname);
  }
}

function read(): Open | null {
  const [id, index] = location.hash.slice(1).split("/");
  try {
    return id ? { id: decodeURIComponent(id), index: Number(index) || 0 } : null;
  } catch {
    // An address that was cut off names nothing.
    return null;
  }
}
