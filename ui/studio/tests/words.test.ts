import { describe, expect, test } from "vitest";
import { said } from "../pure/progress";
import { waitBefore } from "../pure/waiting";
import { bytes, dollars, duration, title } from "../pure/words";
import { aJob } from "./a_job";

describe("figures", () => {
  test.each([
    [0.2, "under a second"],
    [1.4, "1 s"],
    [89, "89 s"],
    [300, "5 min"],
    [7200, "2.0 h"],
  ])("%f seconds are %s", (seconds, words) => expect(duration(seconds)).toBe(words));

  test("a fraction of a cent is not nothing", () => {
    expect(dollars(0.0012)).toBe("$0.0012");
    expect(dollars(0.00001)).toBe("under $0.0001");
    expect(dollars(0)).toBe("$0.00");
    expect(dollars(1.5)).toBe("$1.50");
    expect(bytes(123_456)).toBe("123 kB");
    expect(bytes(2_500_000)).toBe("2.5 MB");
    expect(title("concept-art")).toBe("Concept art");
    expect(title("3d-render")).toBe("3D render");
  });
});

describe("what is said of a job", () => {
  const running = (progress: Partial<ReturnType<typeof aJob>["progress"]>) =>
    said(aJob({ status: "RUNNING", progress: { ...aJob().progress, ...progress } }), null);

  test("its place in the queue", () => {
    expect(said(aJob({ queuePosition: 0 }), null).phase).toBe("Next in the queue");
    expect(said(aJob({ queuePosition: 3 }), null).phase).toBe("3 ahead in the queue");
  });

  test("its step, where the model tells it, and only a guess where it does not", () => {
    const measured = running({ phase: "GENERATING", basis: "MEASURED", step: 9, etaSeconds: 12 });
    expect(measured).toEqual({ phase: "Step 9 of 50", brief: "9/50", detail: "12 s left" });

    const estimated = running({ phase: "GENERATING", basis: "ESTIMATED", etaSeconds: 12 });
    expect(estimated).toEqual({ phase: "Generating", brief: "Generating", detail: "about 12 s left" });
  });

  test("that nobody has heard of it yet", () => {
    expect(said(aJob({ id: "" }), "waiting").phase).toBe("Waiting for the connection");
  });
});

describe("waits", () => {
  test("grow, to an end, and half of each is chance", () => {
    expect([0, 1, 2, 20].map((attempt) => waitBefore(attempt, () => 0))).toEqual([250, 500, 1000, 15_000]);
    expect([0, 1, 2, 20].map((attempt) => waitBefore(attempt, () => 1))).toEqual([500, 1000, 2000, 30_000]);
  });
});
