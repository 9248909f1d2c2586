/** What can be filled in, and emptied again. */
import { batch, signal, type Signal } from "@preact/signals";

/** What fills a field in again, as it was before it was emptied. */
type Restore = () => void;

export class Fields {
  readonly #empties: (() => Restore)[] = [];

  /** Another field, and what is in it at first. */
  make<Value>(initial: Value): Signal<Value> {
    const field = signal(initial);
    this.#empties.push(() => {
      const before = field.peek();
      field.value = initial;
      return () => {
        // Unless somebody has filled it in meanwhile.
        if (field.peek() === initial) field.value = before;
      };
    });
    return field;
  }

  /** Empty all. Returns what takes that back. */
  empty(): Restore {
    const restores = batch(() => this.#empties.map((empty) => empty()));
    return () => batch(() => restores.forEach((restore) => restore()));
  }
}
