import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Live, type JobEvent, type LiveState } from "../api/live";
import { aJob } from "./a_job";

interface Message {
  readonly type: string;
  readonly id?: string;
  readonly payload?: { readonly variables?: { readonly after: string | null }; readonly Authorization?: string };
}

/** The server's end of a WebSocket. */
class Socket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  static all: Socket[] = [];

  readyState = Socket.CONNECTING;
  readonly sent: Message[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: (event: unknown) => void;
  onerror?: (event: unknown) => void;

  constructor() {
    Socket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Message);
  }

  close(code = 1000, reason = ""): void {
    if (this.readyState === Socket.CLOSED) return;
    this.readyState = Socket.CLOSED;
    this.onclose?.(new Closed(code, reason));
  }

  /** Accept, and wait for the subscription. */
  async accept(): Promise<void> {
    this.readyState = Socket.OPEN;
    this.onopen?.();
    await vi.advanceTimersByTimeAsync(0);
    this.say({ type: "connection_ack" });
    await vi.advanceTimersByTimeAsync(0);
  }

  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  tell(event: JobEvent): void {
    this.say({ type: "next", id: this.subscription?.id, payload: { data: { jobsUpdated: event } } });
  }

  get subscription(): Message | undefined {
    return this.sent.find(({ type }) => type === "subscribe");
  }
}

class Closed extends Event {
  readonly wasClean = true;

  constructor(
    readonly code: number,
    readonly reason: string,
  ) {
    super("close");
  }
}

const LONGEST_FIRST_WAIT_MS = 500;

let states: LiveState[] = [];
let events: JobEvent[] = [];
let gaps = 0;

function follow(token: string | null = null): Live {
  const live = new Live("ws://studio.test/graphql", () => token, {
    onState: (state) => states.push(state),
    onEvent: (event) => events.push(event),
    onGap: () => (gaps += 1),
  });
  live.start();
  return live;
}

function event(cursor: string): JobEvent {
  return { kind: "STATUS", cursor, jobId: "one", job: aJob() };
}

function socket(index = -1): Socket {
  return Socket.all.at(index) ?? expect.fail("There is no connection.");
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", Socket);
  vi.stubGlobal("CloseEvent", Closed);
  const target = new EventTarget();
  vi.stubGlobal("addEventListener", target.addEventListener.bind(target));
  vi.stubGlobal("removeEventListener", target.removeEventListener.bind(target));
  [Socket.all, states, events, gaps] = [[], [], [], 0];
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a connection", () => {
  test("begins without a cursor, with the key, and hands events on", async () => {
    follow("a key");
    await socket().accept();
    socket().tell(event("7"));

    expect(socket().sent[0]).toMatchObject({ type: "connection_init", payload: { Authorization: "Bearer a key" } });
    expect(socket().subscription?.payload?.variables).toEqual({ after: null });
    expect(events.map(({ cursor }) => cursor)).toEqual(["7"]);
    expect(states).toEqual([{ is: "connecting", attempt: 0 }, { is: "open" }]);
  });

  test.each([1001, 1006, 1011, 1012, 4408])("closed with %i comes back behind the last event", async (code) => {
    follow();
    await socket().accept();
    socket().tell(event("7"));
    socket().tell(event("8"));

    socket().close(code);
    await vi.advanceTimersByTimeAsync(LONGEST_FIRST_WAIT_MS);
    await socket().accept();

    expect(Socket.all).toHaveLength(2);
    expect(socket().subscription?.payload?.variables).toEqual({ after: "8" });
    expect(states.at(-1)).toEqual({ is: "open" });
    expect(gaps).toBe(0);
  });

  test("that ends before there was an event says that something may be missing", async () => {
    follow();
    await socket().accept();

    socket().close(1006);
    await vi.advanceTimersByTimeAsync(LONGEST_FIRST_WAIT_MS);
    expect(gaps).toBe(0);
    await socket().accept();

    expect(gaps).toBe(1);
  });

  test.each([4401, 4403])("closed with %i is a refused key, and does not come back", async (code) => {
    follow("a key that is over");
    await socket().accept();

    socket().close(code);
    await vi.advanceTimersByTimeAsync(120_000);

    expect(states.at(-1)).toEqual({ is: "refused" });
    expect(Socket.all).toHaveLength(1);
  });

  test("whose subscription is refused waits as long as for any other", async () => {
    follow();
    await socket().accept();

    socket().say({ type: "error", id: socket().subscription?.id, payload: [{ message: "no" }] });
    await vi.advanceTimersByTimeAsync(0);
    expect(Socket.all).toHaveLength(1);
    expect(states.at(-1)).toEqual({ is: "waiting", attempt: 1 });
    await vi.advanceTimersByTimeAsync(LONGEST_FIRST_WAIT_MS);

    expect(Socket.all).toHaveLength(2);
  });

  test("that does not come about is tried with growing waits, and an event begins them anew", async () => {
    follow();
    for (let attempt = 0; attempt < 4; attempt += 1) {
      socket().close(1006);
      await vi.advanceTimersByTimeAsync(0);
      expect(states.at(-1)).toEqual({ is: "waiting", attempt: attempt + 1 });
      // Half of a wait is chance.
      await vi.advanceTimersByTimeAsync((LONGEST_FIRST_WAIT_MS * 2 ** attempt) / 2 - 1);
      expect(Socket.all).toHaveLength(attempt + 1);
      await vi.advanceTimersByTimeAsync((LONGEST_FIRST_WAIT_MS * 2 ** attempt) / 2 + 1);
      expect(Socket.all).toHaveLength(attempt + 2);
    }

    await socket().accept();
    socket().tell(event("7"));
    socket().close(1006);
    await vi.advanceTimersByTimeAsync(0);

    expect(states.at(-1)).toEqual({ is: "waiting", attempt: 1 });
  });

  test("that is accepted and falls over again and again is not asked faster for it", async () => {
    follow();
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await socket().accept();
      socket().close(1006);
      await vi.advanceTimersByTimeAsync(0);
      expect(states.at(-1)).toEqual({ is: "waiting", attempt: attempt + 1 });
      await vi.advanceTimersByTimeAsync(LONGEST_FIRST_WAIT_MS * 2 ** attempt);
    }
  });

  test("that says nothing any more is left, though nobody has closed it", async () => {
    follow();
    await socket().accept();
    socket().tell(event("7"));

    await vi.advanceTimersByTimeAsync(12_000);
    expect(socket().sent.at(-1)).toMatchObject({ type: "ping" });
    socket().say({ type: "pong" });
    await vi.advanceTimersByTimeAsync(11_999);
    expect(states.at(-1)).toEqual({ is: "open" });
    await vi.advanceTimersByTimeAsync(1 + 6000);

    expect(states.at(-1)).toEqual({ is: "waiting", attempt: 1 });
    await vi.advanceTimersByTimeAsync(LONGEST_FIRST_WAIT_MS);
    await socket().accept();
    expect(socket().subscription?.payload?.variables).toEqual({ after: "7" });
  });

  test("that is stopped stays away, and begins anew without what it had seen", async () => {
    const live = follow();
    await socket().accept();
    socket().tell(event("7"));

    live.stop();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(Socket.all).toHaveLength(1);
    live.start();
    await socket().accept();

    expect(socket().subscription?.payload?.variables).toEqual({ after: null });
  });
});
