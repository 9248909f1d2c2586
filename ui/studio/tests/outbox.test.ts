import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Outbox, type Asked } from "../state/outbox";
import { aJob } from "./a_job";

const HOUR_MS = 3600 * 1000;

function asked(key: string, agedMs = 0): Asked {
  const createdAt = new Date(Date.now() - agedMs).toISOString();
  return { key, input: { prompt: "a lighthouse", idempotencyKey: key }, draft: aJob({ id: "", createdAt }) };
}

function keys(outbox: Outbox): string[] {
  return outbox.all.map(({ key }) => key);
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

    expect(new Outbox().all).toEqual([first]);
  });

  test("is of nobody when its caller has signed out", () => {
    const outbox = new Outbox();
    outbox.put(asked("first"));
    outbox.clear();

    expect(keys(outbox)).toEqual([]);
    expect(keys(new Outbox())).toEqual([]);
  });

  test("is given up before the server forgets its key, and would make it twice", () => {
    const outbox = new Outbox();
    outbox.put(asked("of yesterday", 24 * HOUR_MS));
    outbox.put(asked("of this morning", 6 * HOUR_MS));

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
