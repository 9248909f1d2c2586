import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Ended, Refused, SignedOut, Unreachable } from "../api/errors";
import { Http } from "../api/http";
import { AvailabilityDocument } from "../api/operations";

const URL = "http://studio.test/graphql";
const DATA = { models: [] };

/** What `fetch` gives, one after the other; the last for good. An Error is thrown. */
function answering(...answers: (Response | Error)[]) {
  const fetching = vi.fn<typeof fetch>();
  for (const answer of answers) {
    if (answer instanceof Error) fetching.mockRejectedValueOnce(answer);
    else fetching.mockResolvedValueOnce(answer);
  }
  vi.stubGlobal("fetch", fetching);
  return fetching;
}

function json(body: unknown, init: ResponseInit = {}): Response {
  return new Response(JSON.stringify(body), init);
}

function ask(options?: Parameters<Http["ask"]>[2], token: string | null = null) {
  return new Http(URL, () => token).ask(AvailabilityDocument, {}, options);
}

async function problemOf(asked: Promise<unknown>): Promise<unknown> {
  return asked.then(
    () => expect.fail("It was answered."),
    (problem: unknown) => problem,
  );
}

beforeEach(() => {
  vi.useFakeTimers();
  // A pause ends early when the browser says that it has a network again.
  const target = new EventTarget();
  vi.stubGlobal("addEventListener", target.addEventListener.bind(target));
  vi.stubGlobal("removeEventListener", target.removeEventListener.bind(target));
  vi.stubGlobal("dispatchEvent", target.dispatchEvent.bind(target));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("an answer", () => {
  test("gives its data", async () => {
    answering(json({ data: DATA }));

    expect(await ask()).toEqual(DATA);
  });

  test("is asked for with the key, where there is one", async () => {
    const fetching = answering(json({ data: DATA }), json({ data: DATA }));
    await ask();
    await ask({}, "a key");

    const sent = fetching.mock.calls.map(([, init]) => new Headers(init?.headers).get("Authorization"));
    expect(sent).toEqual([null, "Bearer a key"]);
  });

  test("with an error that passes is like none; with another it is a refusal", async () => {
    const withCode = (code: string) => json({ errors: [{ message: "no", extensions: { code } }] });
    answering(withCode("SERVICE_UNAVAILABLE"), withCode("RATE_LIMITED"), withCode("FORBIDDEN"), json({ data: null }));

    expect(await problemOf(ask())).toBeInstanceOf(Unreachable);
    expect(await problemOf(ask())).toBeInstanceOf(Unreachable);
    expect(await problemOf(ask())).toMatchObject({ message: "no", code: "FORBIDDEN" });
    expect(await problemOf(ask())).toBeInstanceOf(Refused);
  });

  test("401 asks for a key, and is not tried again", async () => {
    const fetching = answering(new Response(null, { status: 401 }));

    expect(await problemOf(ask({ onWait: () => undefined }))).toBeInstanceOf(SignedOut);
    expect(fetching).toHaveBeenCalledOnce();
  });

  test("that is no JSON broke off on its way, or comes from somebody in between", async () => {
    answering(new Response("<html>"), new Response('{"data": {"mod'));

    expect(await problemOf(ask())).toMatchObject({ message: "The answer broke off." });
    expect(await problemOf(ask())).toBeInstanceOf(Unreachable);
  });
});

describe("what did not come through", () => {
  test("is told, and not tried again by itself", async () => {
    const fetching = answering(new TypeError("fetch failed"), new DOMException("too late", "TimeoutError"));

    expect(await problemOf(ask())).toMatchObject({ message: "The server cannot be reached." });
    expect(await problemOf(ask())).toBeInstanceOf(Unreachable);
    expect(fetching).toHaveBeenCalledTimes(2);
  });

  test("is tried again by whoever waits, until it comes through", async () => {
    const fetching = answering(
      new TypeError("fetch failed"),
      new Response(null, { status: 504 }),
      json({ data: DATA }),
    );
    const attempts: number[] = [];

    const asked = ask({ onWait: (_, attempt) => attempts.push(attempt) });
    await vi.runAllTimersAsync();

    expect(await asked).toEqual(DATA);
    expect(attempts).toEqual([0, 1]);
    expect(fetching).toHaveBeenCalledTimes(3);
  });

  test("is tried again when the server says so, and not before", async () => {
    const fetching = answering(
      new Response(null, { status: 429, headers: { "Retry-After": "7" } }),
      json({ data: DATA }),
    );
    const asked = ask({ onWait: () => undefined });

    await vi.advanceTimersByTimeAsync(6999);
    expect(fetching).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(1);

    expect(await asked).toEqual(DATA);
  });

  test("is tried again with growing waits, where a date or nothing is said", async () => {
    const headers = { "Retry-After": "Tue, 24 Nov 2026 18:00:00 GMT" };
    answering(new Response(null, { status: 503, headers }), new Response(null, { status: 503 }));

    expect(await problemOf(ask())).toMatchObject({ retryAfterMs: null });
    expect(await problemOf(ask())).toMatchObject({ retryAfterMs: null });
  });

  test("is tried again at once when the network is back", async () => {
    const fetching = answering(
      new Response(null, { status: 429, headers: { "Retry-After": "3600" } }),
      json({ data: DATA }),
    );
    const asked = ask({ onWait: () => undefined });
    await vi.advanceTimersByTimeAsync(1);

    dispatchEvent(new Event("online"));

    expect(await asked).toEqual(DATA);
    expect(fetching).toHaveBeenCalledTimes(2);
  });

  test("is let go of when nobody wants it any more", async () => {
    const fetching = answering(new TypeError("fetch failed"));
    const stop = new AbortController();
    const problem = problemOf(ask({ signal: stop.signal, onWait: () => undefined }));
    await vi.advanceTimersByTimeAsync(1);

    stop.abort(new Error("let go"));
    await vi.runAllTimersAsync();

    expect(await problem).toMatchObject({ message: "let go" });
    expect(fetching).toHaveBeenCalledOnce();
  });
});

/** A server that answers when the test says so. It lets go of what nobody wants, as `fetch` does. */
function waiting() {
  const answers: ((answer: Response) => void)[] = [];
  const fetching = vi.fn<typeof fetch>(
    (_, init) =>
      new Promise((resolve, reject) => {
        answers.push(resolve);
        init?.signal?.addEventListener("abort", () => reject(init.signal?.reason as Error));
      }),
  );
  vi.stubGlobal("fetch", fetching);
  return { answers, fetching };
}

describe("a server that is silent", () => {
  test("counts as not there after half a minute, and is asked again", async () => {
    const { answers, fetching } = waiting();
    const problems: string[] = [];
    const asked = ask({ onWait: ({ message }) => problems.push(message) });

    await vi.advanceTimersByTimeAsync(29_999);
    expect(problems).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(problems).toEqual(["The server does not answer."]);
    await vi.advanceTimersByTimeAsync(500);
    answers[1]?.(json({ data: DATA }));

    expect(await asked).toEqual(DATA);
    expect(fetching).toHaveBeenCalledTimes(2);
  });

  test("in the middle of an answer is no better", async () => {
    const fetching = vi.fn<typeof fetch>(async (_, init) => {
      const body = new ReadableStream({
        start: (stream) => init?.signal?.addEventListener("abort", () => stream.error(init.signal?.reason)),
      });
      return new Response(body);
    });
    vi.stubGlobal("fetch", fetching);
    const problem = problemOf(ask());

    await vi.advanceTimersByTimeAsync(30_000);

    expect(await problem).toMatchObject({ message: "The server does not answer." });
  });
});

describe("a session that has ended", () => {
  test("gets no answers, neither to what is under way nor to what waits", async () => {
    const { answers } = waiting();
    const http = new Http(URL, () => null);
    const underWay = problemOf(http.ask(AvailabilityDocument, {}, { onWait: () => undefined }));
    const waitsToAskAgain = problemOf(http.ask(AvailabilityDocument, {}, { onWait: () => undefined }));
    answers[1]?.(new Response(null, { status: 503 }));
    await vi.advanceTimersByTimeAsync(1);

    http.end();

    expect(await underWay).toBeInstanceOf(Ended);
    expect(await waitsToAskAgain).toBeInstanceOf(Ended);
    expect(await problemOf(http.ask(AvailabilityDocument, {}))).toBeInstanceOf(Ended);
  });

  test("is not ended again by a 401 of its own, once the next has begun", async () => {
    const answers: ((answer: Response) => void)[] = [];
    // It has answered already: nothing can be let go of.
    vi.stubGlobal("fetch", () => new Promise((resolve) => answers.push(resolve)));
    const http = new Http(URL, () => null);
    const problem = problemOf(http.ask(AvailabilityDocument, {}));

    http.begin();
    const asked = http.ask(AvailabilityDocument, {});
    answers[0]?.(new Response(null, { status: 401 }));
    answers[1]?.(json({ data: DATA }));

    expect(await problem).toBeInstanceOf(Ended);
    expect(await asked).toEqual(DATA);
  });
});
