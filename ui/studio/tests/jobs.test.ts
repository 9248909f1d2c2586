import { describe, expect, test } from "vitest";
import { Jobs, referenceOf, type Job } from "../state/jobs";
import { aJob } from "./a_job";

function event(job: Job) {
  return { kind: "STATUS", cursor: "1", jobId: job.id, job } as const;
}

describe("what is known of jobs", () => {
  test("an answer does not overwrite an event that came while it was on its way", () => {
    const jobs = new Jobs();
    const askedAt = jobs.asked();
    jobs.happened(event(aJob({ status: "SUCCEEDED" })));

    jobs.answered([aJob({ status: "RUNNING" })], askedAt);

    expect(jobs.get("one")?.job.value.status).toBe("SUCCEEDED");
  });

  test("an answer to a later question counts", () => {
    const jobs = new Jobs();
    jobs.happened(event(aJob({ status: "RUNNING" })));

    jobs.answered([aJob({ status: "CANCELED" })], jobs.asked());

    expect(jobs.get("one")?.job.value.status).toBe("CANCELED");
  });

  test("a draft becomes the job of its answer, on the same card", () => {
    const jobs = new Jobs();
    const draft = jobs.draft("key", aJob({ id: "" }));

    jobs.answered([aJob({ reference: referenceOf("key") })], jobs.asked());

    expect([...jobs.all()]).toHaveLength(1);
    expect(jobs.get("one")).toBe(draft);
    expect(draft.sending.value).toBeNull();
  });

  test("a draft becomes the job of its event, when that overtakes the answer", () => {
    const jobs = new Jobs();
    const draft = jobs.draft("key", aJob({ id: "" }));
    const askedAt = jobs.asked();
    jobs.happened(event(aJob({ reference: referenceOf("key"), status: "RUNNING" })));

    jobs.answered([aJob({ reference: referenceOf("key"), status: "QUEUED" })], askedAt);

    expect([...jobs.all()]).toHaveLength(1);
    expect(draft.job.value.status).toBe("RUNNING");
  });

  test("a draft of another window is a job like any other", () => {
    const jobs = new Jobs();

    jobs.happened(event(aJob({ reference: referenceOf("of another window") })));
    jobs.happened(event(aJob({ reference: referenceOf("of another window"), status: "RUNNING" })));

    expect([...jobs.all()].map(({ job }) => job.value.status)).toEqual(["RUNNING"]);
  });

  test("a draft that was refused goes, and one that was accepted stays", () => {
    const jobs = new Jobs();
    jobs.draft("refused", aJob({ id: "" }));
    jobs.draft("accepted", aJob({ id: "" }));
    jobs.happened(event(aJob({ reference: referenceOf("accepted") })));

    jobs.withdraw("refused");
    jobs.withdraw("accepted");

    expect([...jobs.all()].map(({ key }) => key)).toEqual(["accepted"]);
  });

  test("a deleted job goes", () => {
    const jobs = new Jobs();
    jobs.happened(event(aJob()));

    jobs.happened({ kind: "DELETED", cursor: "2", jobId: "one", job: null });

    expect([...jobs.all()]).toEqual([]);
  });

  test("a deleted job does not come back with an answer that was on its way, nor with a late event", () => {
    const jobs = new Jobs();
    jobs.happened(event(aJob()));
    const askedAt = jobs.asked();
    jobs.happened({ kind: "DELETED", cursor: "2", jobId: "one", job: null });

    jobs.answered([aJob()], askedAt);
    jobs.happened(event(aJob({ status: "RUNNING" })));

    expect([...jobs.all()]).toEqual([]);
  });

  test("what a complete answer does not hold goes, but for drafts and for what has changed since", () => {
    const jobs = new Jobs();
    for (const id of ["there", "deleted", "older"]) jobs.happened(event(aJob({ id })));
    jobs.draft("draft", aJob({ id: "" }));
    const askedAt = jobs.asked();
    jobs.happened(event(aJob({ id: "new" })));

    jobs.reconcile([aJob({ id: "there" })], askedAt, ({ id }) => id !== "older");

    expect([...jobs.all()].map(({ job }) => job.value.id)).toEqual(["there", "older", "", "new"]);
  });

  test("a job that a list brings is known by the key that it was asked for with", () => {
    const jobs = new Jobs();
    jobs.answered([aJob({ reference: referenceOf("key") })], jobs.asked());

    expect(jobs.get("key")).toBe(jobs.get("one"));
  });

  test("two jobs that share a reference are two", () => {
    const jobs = new Jobs();
    const reference = referenceOf("copied");
    jobs.answered([aJob({ reference }), aJob({ id: "two", reference })], jobs.asked());

    expect([...jobs.all()].map(({ job }) => job.value.id)).toEqual(["one", "two"]);
  });

  test("progress draws one card, and no list", () => {
    const jobs = new Jobs();
    jobs.happened(event(aJob({ status: "RUNNING" })));
    const before = jobs.version.value;

    const progress = { ...aJob().progress, fraction: 0.5 };
    jobs.happened(event(aJob({ status: "RUNNING", progress })));

    expect(jobs.version.value).toBe(before);
    expect(jobs.get("one")?.job.value.progress.fraction).toBe(0.5);
  });
});
