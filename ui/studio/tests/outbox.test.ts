import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Outbox, type Asked } from "../state/outbox";
import { aJob } from "./a_job";

const HOUR_MS = 3600 * 1000;

function asked(key: string, { agedMs = 0, caller = "me" } = {}): Asked {
  const createdAt = new Date(Date.now() - agedMs).toISOString();
  return { caller, key, input: { prompt: "a lighthouse", idempotencyKey: key }, draft: aJob({ id: "", createdAt }) };
}

function keys(outbox: Outbox, caller = "me"): string[] {
  return outbox.of(caller).map(({ key }) => key);
}

beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, text: string) => kept.set(name, text),
    removeItem: (name: string) => kept.delete(name),
  });
});

afterEach(() => vi.unstubAllGlobals());

describe("what is not answered yet", () => {
  test("is there after a reload, as it was asked for, and what is answered is not", () => {
    const outbox = new Outbox();
    const first = asked("first");
    outbox.put(first);
    outbox.put(asked("second"));
    outbox.drop("second");

    expect(new Outbox().of("me")).toEqual([first]);
  });

  test("is of nobody when its caller has signed out", () => {
    const outbox = new Outbox();
    outbox.put(asked("first"));
    outbox.clear();

    expect(keys(outbox)).toEqual([]);
    expect(keys(new Outbox())).toEqual([]);
  });

  test("is of the caller who has asked, and gone once another comes", () => {
    const outbox = new Outbox();
    outbox.put(asked("first"));
    outbox.put(asked("of another", { caller: "another" }));

    expect(keys(new Outbox(), "another")).toEqual(["of another"]);
    expect(keys(new Outbox())).toEqual([]);
  });

  test.each([
    ["no JSON", "[{"],
    ["no list", '{"key": "first"}'],
    [
      "a list of something else",
      '[null, 7, "first", {"key": "first"}, {"key": "first", "caller": "me", "draft": null}]',
    ],
  ])("counts as nothing where it is %s", (_, text) => {
    sessionStorage.setItem("text2image:outbox", text);

    expect(keys(new Outbox())).toEqual([]);
  });

  test("is given up before the server forgets its key, and would make it twice", () => {
    const outbox = new Outbox();
    outbox.put(asked("of yesterday", { agedMs: 24 * HOUR_MS }));
    outbox.put(asked("of this morning", { agedMs: 6 * HOUR_MS }));

    expect(keys(new Outbox())).toEqual(["of this morning"]);
  });

  test("lasts as long as the page, where the browser keeps nothing", () => {
    vi.stubGlobal("sessionStorage", undefined);
    const outbox = new Outbox();
    outbox.put(asked("first"));

    expect(keys(outbox)).toEqual(["first"]);
    expect(keys(new Outbox())).toEqual([]);
  });
});
