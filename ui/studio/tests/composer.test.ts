import { describe, expect, test } from "vitest";
import { Composer, inputOf } from "../state/composer";
import { aJob } from "./a_job";
import { MODEL } from "./a_server";

function aComposer(): Composer {
  const composer = new Composer();
  composer.welcome({ models: [MODEL], styles: [{ id: "style", name: "anime", keywords: "" }] });
  return composer;
}

describe("what is asked for", () => {
  test("what the caller does not choose is left to the server", () => {
    const composer = aComposer();
    composer.prompt.value = " a lighthouse ";

    expect(composer.input.value).toEqual({ prompt: "a lighthouse", count: 1, format: "JPEG", modelId: "model" });
  });

  test("a size is a ratio, or exact", () => {
    const composer = aComposer();
    composer.chooseSize("LANDSCAPE_16_9");
    expect(composer.input.value.size).toEqual({ aspectRatio: "LANDSCAPE_16_9" });
    expect(composer.dimensions.value).toEqual({ width: 1024, height: 576 });

    composer.chooseSize("custom");
    expect(composer.input.value.size).toEqual({ dimensions: { width: 1024, height: 576 } });
  });

  test("a job that is taken over is asked for as it was", () => {
    const composer = aComposer();
    const job = aJob();
    const style = { id: "style", name: "anime" };
    const parameters = {
      ...job.parameters,
      style,
      width: 1024,
      height: 576,
      steps: 9,
      count: 2,
      negativePrompt: "rain",
    };

    composer.take({ ...job, parameters }, 11);

    expect(composer.input.value).toEqual({
      prompt: "a lighthouse",
      negativePrompt: "rain",
      count: 2,
      format: "JPEG",
      modelId: "model",
      size: { aspectRatio: "LANDSCAPE_16_9" },
      steps: 9,
      guidanceScale: 7.5,
      style: "style",
      seed: 11,
    });
  });

  test("a repetition says all of it, so that other defaults change nothing", () => {
    expect(inputOf(aJob(), 3)).toEqual({
      prompt: "a lighthouse",
      count: 1,
      format: "JPEG",
      seed: 3,
      steps: 50,
      guidanceScale: 7.5,
      size: { dimensions: { width: 768, height: 768 } },
      modelId: "model",
    });
  });

  test("what is wrong is said at the field that its path names", () => {
    const composer = aComposer();
    composer.problems.value = [
      { __typename: "InvalidInputError", message: "too wide", path: ["input", "size", "dimensions", "width"] },
      { __typename: "QueueFullError", message: "full", path: null },
    ];

    expect(composer.problemAt("size")).toBe("too wide");
    expect(composer.problemAt(null)).toBe("full");
    expect(composer.problemAt("prompt")).toBeNull();
  });

  test.each([-1, 0.5, 2 ** 32, NaN])("no seed is %d", (seed) => {
    const composer = aComposer();
    composer.prompt.value = "a lighthouse";
    composer.seed.value = seed;

    expect(composer.check()).toBe(false);
    expect(composer.problemAt("seed")).toBe("A whole number, 0 to 4294967295.");
  });

  test.each([
    { width: 0, height: 768 },
    { width: 1544, height: 768 },
    { width: 768, height: 700.5 },
    { width: 768, height: 700 },
    { width: NaN, height: 768 },
  ])("no picture is $width by $height", (custom) => {
    const composer = aComposer();
    composer.prompt.value = "a lighthouse";
    composer.size.value = "custom";
    composer.custom.value = custom;

    expect(composer.check()).toBe(false);
    expect(composer.problemAt("size")).toBe("Multiples of 8, up to 1536.");
  });

  test("the ends of what is allowed are allowed, and nothing is said any more", () => {
    const composer = aComposer();
    expect(composer.check()).toBe(false);
    expect(composer.problemAt("prompt")).toBe("Write a prompt first.");

    composer.prompt.value = "a lighthouse";
    composer.size.value = "custom";
    composer.custom.value = { width: 8, height: 1536 };
    for (const seed of [0, 2 ** 32 - 1, null]) {
      composer.seed.value = seed;
      expect(composer.check()).toBe(true);
    }

    expect(composer.problems.value).toEqual([]);
  });
});

describe("a form that is emptied", () => {
  test("holds nothing, and is filled in again as it was, but for what was written meanwhile", () => {
    const composer = aComposer();
    composer.prompt.value = "a lighthouse";
    composer.negativePrompt.value = "rain";
    composer.seed.value = 7;

    const restore = composer.empty();
    expect([composer.prompt.value, composer.negativePrompt.value, composer.seed.value]).toEqual(["", "", null]);
    expect(composer.model.value).toBeNull();
    composer.prompt.value = "a castle";
    restore();

    expect([composer.prompt.value, composer.negativePrompt.value, composer.seed.value]).toEqual([
      "a castle",
      "rain",
      7,
    ]);
  });
});
