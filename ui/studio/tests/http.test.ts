import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Refused, SignedOut, Unreachable } from "../api/errors";
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
    const fetching = answering(new TypeError("fetch failed"), new Response(null, { status: 504 }), json({ data: DATA }));
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
