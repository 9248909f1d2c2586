import { afterEach, expect, test, vi } from "vitest";
import { View } from "../state/view";

function viewAt(hash: string): View {
  vi.stubGlobal("location", { hash, pathname: "/" });
  vi.stubGlobal("addEventListener", () => undefined);
  return new View();
}

afterEach(() => vi.unstubAllGlobals());

test.each([
  ["#am9i/2", { id: "am9i", index: 2 }],
  ["#a%3D%3D/x", { id: "a==", index: 0 }],
  ["", null],
  ["#%E0%A4%A", null],
])("the address %s opens %o", (hash, open) => {
  expect(viewAt(hash).open.value).toEqual(open);
});

test("a view that is covered is still in the address", () => {
  const view = viewAt("#am9i/2");

  view.cover();
  expect(view.open.value).toBeNull();
  view.reveal();

  expect(view.open.value).toEqual({ id: "am9i", index: 2 });
});
