import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Studio } from "../state/studio";
import { aJob } from "./a_job";
import { page, Server, someJobs, welcome } from "./a_server";

/** Never comes about: what happens is not looked at here. */
class NoSocket {
  static readonly CONNECTING = 0;
  readonly readyState = NoSocket.CONNECTING;
  close(): void {}
}

const IMAGE = {
  id: "image",
  url: "/old",
  thumbnailUrl: "/old-thumbnail",
  width: 768,
  height: 768,
  format: "JPEG",
  seed: 7,
  sizeBytes: 1000,
  blurHash: "L00000fQfQfQfQfQfQfQfQfQfQfQ",
} as const;

let server: Server;
let callers: Map<string, string>;
let location: { hash: string; pathname: string };

/** A page that is loaded, in the window that there is. */
async function load(): Promise<Studio> {
  const studio = new Studio(new URL("http://studio.test/graphql"));
  studio.start();
  await settle();
  return studio;
}

async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

async function signedIn(key: string): Promise<Studio> {
  const studio = await load();
  studio.signIn(key);
  await settle();
  return studio;
}

function prompts(studio: Studio): string[] {
  return [...studio.jobs.all()].map(({ job }) => job.value.parameters.prompt);
}

/** What the caller has filled in, and looks at. */
function kept(studio: Studio): Record<string, unknown> {
  const { composer, gallery, view } = studio;
  return { prompt: composer.prompt.value, search: gallery.search.value, open: view.open.value?.id ?? null };
}

function beBusyWith(studio: Studio): void {
  studio.composer.prompt.value = "half a thought";
  studio.gallery.search.value = "secret";
  studio.view.show({ id: "job 1", index: 0 });
}

const BUSY = { prompt: "half a thought", search: "secret", open: "job 1" };
const NOTHING = { prompt: "", search: "", open: null };

beforeEach(() => {
  vi.useFakeTimers();
  const target = new EventTarget();
  vi.stubGlobal("addEventListener", target.addEventListener.bind(target));
  vi.stubGlobal("removeEventListener", target.removeEventListener.bind(target));
  vi.stubGlobal("WebSocket", NoSocket);
  vi.stubGlobal("CloseEvent", Event);
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("navigator", { onLine: true });
  location = { hash: "", pathname: "/" };
  vi.stubGlobal("location", location);
  vi.stubGlobal("history", {
    state: null,
    pushState: (_: unknown, __: string, hash: string) => (location.hash = hash),
    replaceState: (_: unknown, __: string, path: string) => (location.hash = path.startsWith("#") ? path : ""),
  });
  const keptByWindow = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (name: string) => keptByWindow.get(name) ?? null,
    setItem: (name: string, text: string) => keptByWindow.set(name, text),
    removeItem: (name: string) => keptByWindow.delete(name),
  });
  server = new Server();
  callers = new Map([
    ["Alice's", "alice"],
    ["Alice's other", "alice"],
    ["Bob's", "bob"],
  ]);
  const forCaller = (answer: (caller: string) => unknown) => (question: { key: string | null }) => {
    const caller = callers.get(question.key ?? "");
    return caller === undefined ? 401 : answer(caller);
  };
  server.answers = {
    Welcome: forCaller(welcome),
    Jobs: forCaller((caller) => page([aJob({ id: `of ${caller}` })])),
    Availability: () => ({ models: [] }),
  };
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** What Alice has asked for, and had no answer to when her key ended. */
async function loseTheKey(studio: Studio): Promise<void> {
  studio.composer.prompt.value = "unanswered";
  studio.generate();
  await settle();
  beBusyWith(studio);
  await settle();
  callers.delete("Alice's");
  server.of("Generate").at(-1)?.answer(null, { status: 401 });
  await settle();
  expect(studio.session.isSignedOut.value).toBe(true);
}

describe("when a key ends", () => {
  test("nothing of its caller is left on the page", async () => {
    const studio = await signedIn("Alice's");
    expect(prompts(studio)).toEqual(["a lighthouse"]);

    await loseTheKey(studio);

    expect(prompts(studio)).toEqual([]);
    expect(kept(studio)).toEqual(NOTHING);
    expect(studio.viewer.value).toBeNull();
  });

  test("another key of the same caller brings all back, and what was not answered is asked again", async () => {
    const studio = await signedIn("Alice's");
    await loseTheKey(studio);

    studio.signIn("Alice's other");
    expect(kept(studio)).toEqual(NOTHING);
    await settle();

    expect(kept(studio)).toEqual(BUSY);
    const [first, second] = server.of("Generate");
    expect(second?.key).toBe("Alice's other");
    expect(second?.variables).toEqual(first?.variables);
    expect(prompts(studio)).toContain("unanswered");
  });

  test("another caller finds nothing, and nothing is asked for in their name, nor after a reload", async () => {
    const studio = await signedIn("Alice's");
    await loseTheKey(studio);
    studio.signIn("a mistake");
    await settle();

    studio.signIn("Bob's");
    await settle();

    expect(kept(studio)).toEqual(NOTHING);
    expect([...studio.jobs.all()].map(({ job }) => job.value.id)).toEqual(["of bob"]);
    expect(location.hash).toBe("");
    const reloaded = await load();
    expect(kept(reloaded)).toEqual(NOTHING);
    expect(server.of("Generate")).toHaveLength(1);
  });

  test("a reload in between changes nothing about that", async () => {
    await loseTheKey(await signedIn("Alice's"));

    const bobs = await signedIn("Bob's");
    expect(prompts(bobs)).toEqual(["a lighthouse"]);
    expect(server.of("Generate")).toHaveLength(1);
  });

  test("a reload with the key itself asks again before anybody answers", async () => {
    const studio = await signedIn("Alice's");
    studio.composer.prompt.value = "unanswered";
    studio.generate();
    server.answers = {};

    const reloaded = await load();

    expect(prompts(reloaded)).toEqual(["unanswered"]);
    expect(server.of("Generate")).toHaveLength(2);
  });

  test("an address that was opened before anybody had signed in is looked at by whoever does", async () => {
    location.hash = "#job/0";
    const studio = await signedIn("Bob's");

    expect(studio.view.open.value).toEqual({ id: "job", index: 0 });
  });
});

describe("who signs out", () => {
  test("leaves nothing, not even to themselves", async () => {
    const studio = await signedIn("Alice's");
    studio.composer.prompt.value = "unanswered";
    studio.generate();
    beBusyWith(studio);

    studio.signOut();
    expect(kept(studio)).toEqual(NOTHING);
    studio.signIn("Alice's");
    await settle();

    expect(kept(studio)).toEqual(NOTHING);
    expect(server.of("Generate")).toHaveLength(1);
  });

  test("is told of nothing that was on its way", async () => {
    const studio = await signedIn("Alice's");
    server.answers = {};
    studio.gallery.reload(studio.fail);
    const asked = [studio.cancel(aJob()), studio.delete(aJob()), studio.renew("one"), studio.find("two")];
    await settle();

    studio.signOut();
    server
      .of("Jobs")
      .at(-1)
      ?.answer(page(someJobs(1)));
    server
      .of("Cancel")
      .at(-1)
      ?.answer({ cancelJob: { job: aJob(), errors: [] } });
    await Promise.all(asked);

    expect(await asked[3]).toBe("unknown");
    expect(prompts(studio)).toEqual([]);
    expect(studio.toasts.shown.value).toEqual([]);
  });
});

describe("what the server refuses to say at first", () => {
  test("is asked again by whoever is told so, and then one can generate", async () => {
    const { Welcome: welcoming } = server.answers;
    server.answers = { ...server.answers, Welcome: () => new Error("Out of order.") };
    const studio = await signedIn("Alice's");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(studio.refused.value).toBe("Out of order.");
    const tries = server.of("Welcome").length;

    server.answers = { ...server.answers, Welcome: welcoming };
    studio.tryAgain();
    await settle();

    expect(server.of("Welcome")).toHaveLength(tries + 1);
    expect(studio.refused.value).toBeNull();
    expect(studio.composer.model.value?.id).toBe("model");
  });
});

describe("a job", () => {
  test("is found, or is not there, or nobody can say", async () => {
    const studio = await signedIn("Alice's");
    const answers = [{ job: aJob({ id: "there" }) }, { job: null }, new Error("Out of order.")];
    server.answers = { OneJob: () => answers.shift() };

    expect(await studio.find("there")).toBe("found");
    expect(await studio.find("there")).toBe("found");
    expect(await studio.find("not there")).toBe("missing");
    expect(await studio.find("who knows")).toBe("unknown");
  });

  test("gets fresh URLs, once a minute at most", async () => {
    const studio = await signedIn("Alice's");
    const image = { ...IMAGE, url: "/fresh" };
    server.answers = { OneJob: () => ({ job: aJob({ id: "of alice", status: "SUCCEEDED", images: [image] }) }) };

    await Promise.all([studio.renew("of alice"), studio.renew("of alice"), studio.renew("another")]);
    expect(studio.jobs.get("of alice")?.job.value.images[0]?.url).toBe("/fresh");
    expect(server.of("OneJob")).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(60_000);
    await studio.renew("of alice");

    expect(server.of("OneJob")).toHaveLength(3);
  });

  test("that was deleted by a try whose answer was lost is deleted", async () => {
    const studio = await signedIn("Alice's");
    const errors = [{ __typename: "JobNotFoundError", message: "There is no such job.", path: null }];
    server.answers = { Delete: () => ({ deleteJob: { deletedJobId: null, errors } }) };

    await studio.delete(aJob({ id: "of alice" }));

    expect(prompts(studio)).toEqual([]);
    expect(studio.toasts.shown.value).toEqual([]);
  });

  test("that is asked for twice is said twice", async () => {
    const studio = await signedIn("Alice's");
    const said = [];
    studio.composer.prompt.value = "a castle";
    for (const _ of ["once", "twice"]) {
      studio.generate();
      said.push(studio.announcement.value);
    }

    expect(said.map(({ text }) => text)).toEqual(["Queued: a castle", "Queued: a castle"]);
    expect(said[0]?.id).not.toBe(said[1]?.id);
  });
});
