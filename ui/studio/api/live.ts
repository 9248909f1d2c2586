/** The events of all jobs of the caller, over one WebSocket that comes back by itself and resumes where it was. */
import { CloseCode, createClient, type Client } from "graphql-ws";
import { pause, waitBefore } from "../pure/waiting";
import { FollowDocument, type FollowSubscription } from "./operations";

export type JobEvent = FollowSubscription["jobsUpdated"];

/** `attempt` counts the tries since the connection was there. */
export type LiveState =
  | { readonly is: "connecting"; readonly attempt: number }
  | { readonly is: "open" }
  | { readonly is: "waiting"; readonly attempt: number }
  | { readonly is: "refused" };

export interface LiveListener {
  readonly onEvent: (event: JobEvent) => void;
  readonly onState: (state: LiveState) => void;
  /** The connection is there anew and there was no cursor to resume from: what is known may be out of date. */
  readonly onGap: () => void;
}

const PING_EVERY_MS = 12_000;
const PONG_WITHIN_MS = 6_000;
// docs/clients/reconnecting.md: with the same credential these would only happen again. A token that has expired is not
// renewed by a page that was given an API key.
const REFUSALS: readonly number[] = [CloseCode.Unauthorized, CloseCode.Forbidden];

/** The library's own retries are off: they would send the first `after` again, and all since would come twice. */
export class Live {
  readonly #url: string;
  readonly #token: () => string | null;
  readonly #listener: LiveListener;
  #stop: AbortController | null = null;
  #cursor: string | null = null;

  constructor(url: string, token: () => string | null, listener: LiveListener) {
    this.#url = url;
    this.#token = token;
    this.#listener = listener;
  }

  /** Follow, from now on, until `stop`. */
  start(): void {
    this.stop();
    this.#cursor = null;
    this.#stop = new AbortController();
    void this.#follow(this.#stop.signal);
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = null;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    let attempt = 0;
    let wasOpen = false;
    const onOpen = () => {
      if (signal.aborted) return;
      if (wasOpen && this.#cursor === null) this.#listener.onGap();
      wasOpen = true;
      this.#listener.onState({ is: "open" });
    };
    const onEvent = (event: JobEvent) => {
      // A connection that is being closed may still bring what was on its way.
      if (signal.aborted) return;
      // From the start again once an event has come, not when a connection has.
      attempt = 0;
      this.#cursor = event.cursor;
      this.#listener.onEvent(event);
    };
    while (!signal.aborted) {
      this.#listener.onState({ is: "connecting", attempt });
      const openedAt = performance.now();
      const reason = await this.#once(signal, onOpen, onEvent);
      if (signal.aborted) return;
      if (reason instanceof CloseEvent && REFUSALS.includes(reason.code)) {
        this.#listener.onState({ is: "refused" });
        return;
      }
      // A caller without jobs gets no events: a connection that has lasted is as good.
      if (performance.now() - openedAt > PING_EVERY_MS) attempt = 0;
      this.#listener.onState({ is: "waiting", attempt: attempt + 1 });
      await pause(waitBefore(attempt), signal).catch(() => undefined);
      attempt += 1;
    }
  }

  /** One connection, to its end; why it has ended. */
  #once(signal: AbortSignal, onOpen: () => void, onEvent: (event: JobEvent) => void): Promise<unknown> {
    return new Promise((resolve) => {
      let client: Client | null = null;
      let pong: ReturnType<typeof setTimeout> | undefined;
      const end = (reason: unknown) => {
        clearTimeout(pong);
        signal.removeEventListener("abort", leave);
        // It would tell once more why a connection was not made.
        void Promise.resolve(client?.dispose()).catch(() => undefined);
        resolve(reason);
      };
      const leave = () => end(null);
      signal.addEventListener("abort", leave);
      client = createClient({
        url: this.#url,
        retryAttempts: 0,
        keepAlive: PING_EVERY_MS,
        connectionParams: () => {
          const token = this.#token();
          return token === null ? {} : { Authorization: `Bearer ${token}` };
        },
        on: {
          connected: onOpen,
          ping: (isReceived) => {
            // A network that is gone says nothing: without this, that would be noticed minutes later.
            if (!isReceived) pong = setTimeout(() => client?.terminate(), PONG_WITHIN_MS);
          },
          pong: (isReceived) => isReceived && clearTimeout(pong),
        },
      });
      client.subscribe<FollowSubscription>(
        { query: FollowDocument.toString(), variables: { after: this.#cursor } },
        {
          next: ({ data }) => data && onEvent(data.jobsUpdated),
          error: end,
          complete: () => end(null),
        },
      );
    });
  }
}
