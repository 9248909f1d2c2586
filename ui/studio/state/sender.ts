/** Asks for jobs, for as long as nobody answers: whatever happens to the connection, the window or the key. */
import { endsSession, messageOf, Refused, type UserProblem } from "../api/errors";
import type { Http } from "../api/http";
import { GenerateDocument, type GenerateImageInput } from "../api/operations";
import { referenceOf, type Job, type Jobs } from "./jobs";
import { Outbox, type Asked } from "./outbox";

export interface SenderListener {
  /** The server has said no. */
  readonly onRefused: (input: GenerateImageInput, problems: readonly UserProblem[]) => void;
  /** The session is over. What was not answered waits for its caller. */
  readonly onProblem: (problem: unknown) => void;
}

export class Sender {
  readonly #http: Http;
  readonly #jobs: Jobs;
  readonly #listener: SenderListener;
  readonly #outbox = new Outbox();

  constructor(http: Http, jobs: Jobs, listener: SenderListener) {
    this.#http = http;
    this.#jobs = jobs;
    this.#listener = listener;
  }

  /** Put a card up, and ask for its job. `caller` is the ID of the viewer who asks. */
  submit(caller: string, input: GenerateImageInput, draft: Job): void {
    const key = newKey();
    const asked = { caller, key, input: { ...input, idempotencyKey: key, reference: referenceOf(key) }, draft };
    this.#outbox.put(asked);
    void this.#send(asked);
  }

  /** Ask again for what a caller has had no answer to. What others have asked for is forgotten. */
  resume(caller: string): void {
    for (const asked of this.#outbox.of(caller)) {
      const known = this.#jobs.get(asked.key);
      if (known === undefined) void this.#send(asked);
      // A list has brought it.
      else if (known.sending.peek() === null) this.#outbox.drop(asked.key);
    }
  }

  /** Forget what was not answered. */
  forget(): void {
    this.#outbox.clear();
  }

  async #send({ key, input, draft }: Asked): Promise<void> {
    const entry = this.#jobs.draft(key, draft);
    const onWait = () => {
      // Unless an event has brought it meanwhile.
      if (entry.sending.peek() !== null) entry.sending.value = "waiting";
    };
    try {
      const askedAt = this.#jobs.asked();
      const { generateImage } = await this.#http.ask(GenerateDocument, { input }, { onWait });
      if (generateImage.job) this.#jobs.answered([generateImage.job], askedAt);
      else this.#listener.onRefused(input, generateImage.errors);
    } catch (problem) {
      if (endsSession(problem)) {
        this.#listener.onProblem(problem);
        return;
      }
      const code = problem instanceof Refused ? problem.code : "UNKNOWN";
      this.#listener.onRefused(input, [{ __typename: code, message: messageOf(problem), path: null }]);
    }
    this.#jobs.withdraw(key);
    this.#outbox.drop(key);
  }
}

/** crypto.randomUUID is there on https and on loopback only. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
