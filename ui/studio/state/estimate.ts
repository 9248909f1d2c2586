/** What the next generation is expected to take, kept up to date while the caller decides. */
import { computed, effect, signal } from "@preact/signals";
import type { Http } from "../api/http";
import { EstimateDocument, type EstimateQuery } from "../api/operations";
import type { Composer } from "./composer";

const QUIET_MS = 250;

export type Estimate = NonNullable<EstimateQuery["estimate"]["estimate"]>;

export class Estimator {
  readonly estimate = signal<Estimate | null>(null);
  readonly #http: Http;
  readonly #composer: Composer;

  constructor(http: Http, composer: Composer) {
    this.#http = http;
    this.#composer = composer;
  }

  /** Ask whenever the answer may be another. `version` rises when the queue may have changed. Returns what ends it. */
  start(version: { readonly value: number }): () => void {
    // Figures do not depend on what is drawn, and asking with each letter would count against the caller.
    const input = computed(() => JSON.stringify({ ...this.#composer.input.value, prompt: "x", seed: 0 }));
    return effect(() => {
      version.value;
      const asked = input.value;
      if (this.#composer.model.value === null) {
        this.estimate.value = null;
        return undefined;
      }
      const stop = new AbortController();
      const timer = setTimeout(() => void this.#ask(asked, stop.signal), QUIET_MS);
      return () => {
        clearTimeout(timer);
        stop.abort();
      };
    });
  }

  async #ask(input: string, signal: AbortSignal): Promise<void> {
    try {
      const variables = { input: JSON.parse(input) as { prompt: string } };
      const { estimate } = await this.#http.ask(EstimateDocument, variables, { signal });
      this.estimate.value = estimate.estimate;
    } catch {
      // Without figures there is no line about them; what is wrong is said where it matters.
      if (!signal.aborted) this.estimate.value = null;
    }
  }
}
