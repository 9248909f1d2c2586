import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SignedOut } from "../api/errors";
import { Http } from "../api/http";
import { Gallery } from "../state/gallery";
import { Jobs, type Job } from "../state/jobs";
import { page, Server, someJobs } from "./a_server";

let server: Server;
let jobs: Jobs;
let gallery: Gallery;
const fail = vi.fn();

/** Answer what was asked last. */
async function answer(data: unknown): Promise<void> {
  const question = server.of("Jobs").at(-1) ?? expect.fail("Nothing is asked.");
  question.answer(data);
  await settle();
}

async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

function happened(job: Job): void {
  jobs.happened({ kind: "STATUS", cursor: "1", jobId: job.id, job });
}

function deleted(id: string): void {
  gallery.deleting(id);
  jobs.happened({ kind: "DELETED", cursor: "1", jobId: id, job: null });
}

function shown(): string[] {
  return gallery.shown.value.map(({ job }) => job.value.id.replace("job ", ""));
}

beforeEach(() => {
  vi.useFakeTimers();
  const target = new EventTarget();
  vi.stubGlobal("addEventListener", target.addEventListener.bind(target));
  vi.stubGlobal("removeEventListener", target.removeEventListener.bind(target));
  fail.mockReset();
  server = new Server();
  jobs = new Jobs();
  const http = new Http("http://studio.test/graphql", () => null);
  gallery = new Gallery(http, jobs);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a question that is refused", () => {
  beforeEach(() => {
    server.answers = { Jobs: () => new Error("The search is too long.") };
  });

  test("is asked once, and again when somebody says so", async () => {
    gallery.reload(fail);
    await settle();
    await gallery.more(fail);
    await gallery.more(fail);
    expect(gallery.refused.value).toBe("The search is too long.");
    expect(server.asked).toHaveLength(1);

    server.answers = {};
    gallery.tryAgain();
    await answer(page(someJobs(1)));

    expect(gallery.refused.value).toBeNull();
    expect(shown()).toEqual(["1"]);
    expect(fail).not.toHaveBeenCalled();
  });

  test("is forgotten when the filter changes", async () => {
    gallery.start(fail);
    await settle();

    server.answers = {};
    gallery.search.value = "shorter";
    await answer(page([]));

    expect(gallery.refused.value).toBeNull();
    expect(server.asked).toHaveLength(2);
  });
});

test("a question that another key is wanted for is no refusal", async () => {
  server.answers = { Jobs: () => 401 };

  gallery.reload(fail);
  await settle();

  expect(fail).toHaveBeenCalledWith(expect.any(SignedOut));
  expect(gallery.refused.value).toBeNull();
});

describe("how many there are", () => {
  beforeEach(async () => {
    gallery.reload(fail);
    await answer(page(someJobs(9, 8, 7), { hasNextPage: true, totalCount: 8 }));
  });

  test("is what the server has said, of each page", async () => {
    expect(gallery.total.value).toBe(8);

    void gallery.more(fail);
    await answer(page(someJobs(6, 5, 4), { hasNextPage: true, totalCount: 8 }));
    expect(gallery.total.value).toBe(8);

    void gallery.more(fail);
    await answer(page(someJobs(3, 2), { totalCount: 8 }));
    expect(gallery.total.value).toBe(8);
  });

  test("rises with what comes and falls with what goes, whether it was read or not", () => {
    for (const job of someJobs(10, 11)) happened(job);
    expect(gallery.total.value).toBe(10);

    deleted("job 10");
    expect(gallery.total.value).toBe(9);
    for (const _ of ["by the answer", "by the event"]) deleted("job 3");
    expect(gallery.total.value).toBe(8);
  });

  test("does not change with what happens to a job that was not read", () => {
    happened(someJobs(2)[0] as Job);

    expect(gallery.total.value).toBe(8);
    expect(shown()).toEqual(["9", "8", "7"]);
  });
});

describe("after a gap", () => {
  beforeEach(async () => {
    gallery.reload(fail);
    await answer(page(someJobs(9, 8, 7), { hasNextPage: true, totalCount: 20 }));
    void gallery.more(fail);
    await answer(page(someJobs(6, 5, 4), { hasNextPage: true, totalCount: 20 }));
  });

  test("what is new is there, what was deleted is not, and what was read stays read", async () => {
    jobs.draft("draft", { ...(someJobs(0)[0] as Job), id: "" });

    gallery.refresh(fail);
    await answer(page(someJobs(10, 9, 7), { hasNextPage: true, totalCount: 20 }));

    expect(shown()).toEqual(["", "10", "9", "7", "6", "5", "4"]);
    expect(gallery.total.value).toBe(20);
    void gallery.more(fail);
    expect(server.of("Jobs").at(-1)?.variables).toMatchObject({ after: "job 4" });
  });

  test("what came while the answer was on its way stays", async () => {
    gallery.refresh(fail);
    happened(someJobs(11)[0] as Job);
    await answer(page(someJobs(9, 8, 7), { hasNextPage: true }));

    expect(shown()).toEqual(["11", "9", "8", "7", "6", "5", "4"]);
  });

  test("in which more has come than is on a page, reading begins again: there are no holes", async () => {
    gallery.refresh(fail);
    await answer(page(someJobs(30, 29, 28), { hasNextPage: true, totalCount: 40 }));

    expect(shown()).toEqual(["30", "29", "28"]);
    void gallery.more(fail);
    expect(server.of("Jobs").at(-1)?.variables).toMatchObject({ after: "job 28" });
  });

  test("what was refused is asked again as it was", async () => {
    server.answers = { Jobs: () => new Error("Not now.") };
    gallery.refresh(fail);
    await settle();
    expect(gallery.refused.value).toBe("Not now.");

    server.answers = {};
    gallery.tryAgain();
    await answer(page(someJobs(10, 9, 8), { hasNextPage: true }));

    expect(shown()).toEqual(["10", "9", "8", "7", "6", "5", "4"]);
  });
});
