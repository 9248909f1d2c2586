import { expect, test } from "vitest";
import { windowFor } from "../pure/links";

test("what another origin has is opened beside the page", () => {
  expect(windowFor("/images/a.jpg", "https://images.example/#job/0")).toBe("_self");
  expect(windowFor("https://images.example/images/a.jpg", "https://images.example/")).toBe("_self");
  expect(windowFor("https://cdn.example/a.jpg", "https://images.example/")).toBe("_blank");
  expect(windowFor("http://images.example/a.jpg", "https://images.example/")).toBe("_blank");
});
