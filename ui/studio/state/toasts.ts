/** Short notices, which screen readers say when they have time. */
import { signal } from "@preact/signals";

const SECONDS = 6;

export interface Toast {
  readonly id: number;
  readonly text: string;
  readonly isProblem: boolean;
}

export class Toasts {
  readonly shown = signal<readonly Toast[]>([]);
  #count = 0;

  say(text: string, { isProblem = false } = {}): void {
    const toast = { id: (this.#count += 1), text, isProblem };
    this.shown.value = [...this.shown.value.slice(-2), toast];
    setTimeout(() => this.dismiss(toast.id), SECONDS * 1000);
  }

  dismiss(id: number): void {
    this.shown.value = this.shown.value.filter((toast) => toast.id !== id);
  }
}
