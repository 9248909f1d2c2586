import { describe, expect, test } from "vitest";
import { Composer, inputOf, type Model } from "../state/composer";
import { aJob } from "./a_job";

const MODEL: Model = {
  id: "model",
  name: "sketch",
  description: null,
  isDefault: true,
  availability: "READY",
  license: null,
  defaults: { width: 768, height: 768, steps: 50, guidanceScale: 7.5 },
  limits: { maxCount: 4, maxDimension: 1536, maxPromptLength: 2000, maxSteps: 100, sizeMultiple: 8 },
};

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
});
