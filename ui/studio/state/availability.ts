/** Whether the models can be used, kept up to date while somebody looks. */
import type { Http } from "../api/http";
import { AvailabilityDocument } from "../api/operations";
import type { Composer } from "./composer";

const EVERY_MS = 20_000;

/** Returns what ends it. */
export function watchAvailability(http: Http, { models }: Composer): () => void {
  const ask = async () => {
    const answer = await http.ask(AvailabilityDocument, {});
    const now = new Map(answer.models.map(({ id, availability }) => [id, availability]));
    models.value = models.peek().map((model) => ({ ...model, availability: now.get(model.id) ?? "UNAVAILABLE" }));
  };
  const timer = setInterval(() => {
    // What could not be asked is asked again soon.
    if (!document.hidden) void ask().catch(() => undefined);
  }, EVERY_MS);
  return () => clearInterval(timer);
}
