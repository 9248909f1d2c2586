/** The caller's history: which part of it is known, and which of that is shown. */
import { computed, effect, signal, type ReadonlySignal } from "@preact/signals";
import type { Http } from "../api/http";
import { JobsDocument, type JobFilter } from "../api/operations";
import type { Entry, Job, Jobs } from "./jobs";

const PAGE = 50;

export type Show = "all" | "pictures" | "open" | "failed";

const STATUSES: Record<Show, readonly Job["status"][] | null> = {
  all: null,
  pictures: ["SUCCEEDED"],
  open: ["QUEUED", "RUNNING"],
  failed: ["FAILED"],
};

export class Gallery {
  readonly search = signal("");
  readonly show = signal<Show>("all");
  readonly isLoading = signal(false);
  readonly hasMore = signal(true);
  /** How many jobs match in all, as of the last page. */
  readonly total = signal<number | null>(null);
  readonly problem = signal<string | null>(null);
  /** Newest first. What is older than the pages that were read is left out, or there would be holes. */
  readonly shown: ReadonlySignal<readonly Entry[]>;

  readonly #http: Http;
  readonly #jobs: Jobs;
  #cursor: string | null = null;
  readonly #horizon = signal("");
  #asking: AbortController | null = null;

  constructor(http: Http, jobs: Jobs) {
    this.#http = http;
    this.#jobs = jobs;
    this.shown = computed(() => {
      jobs.version.value;
      const isShown = matcher(this.search.value, this.show.value);
      const horizon = this.#horizon.value;
      return [...jobs.all()]
        .filter(({ job, sending }) => {
          const known = job.peek();
          return isShown(known) && (known.createdAt >= horizon || sending.peek() !== null);
        })
        .sort(newestFirst);
    });
  }

  /** Whether the list is narrowed. */
  get isNarrowed(): boolean {
    return this.search.value.trim() !== "" || this.show.value !== "all";
  }

  /** Show all there is. */
  widen(): void {
    this.search.value = "";
    this.show.value = "all";
  }

  /** Begin to read, and begin again whenever the filter changes. Returns what ends that. */
  start(onProblem: (problem: unknown) => void): () => void {
    return effect(() => {
      this.search.value;
      this.show.value;
      this.reload(onProblem);
    });
  }

  reload(onProblem: (problem: unknown) => void): void {
    this.#asking?.abort();
    this.#asking = null;
    this.#cursor = null;
    void this.more(onProblem, { isFirst: true });
  }

  /** Read the next page, unless one is on its way. */
  async more(onProblem: (problem: unknown) => void, { isFirst = false } = {}): Promise<void> {
    if (this.#asking !== null || (!isFirst && !this.hasMore.peek())) return;
    const asking = new AbortController();
    this.#asking = asking;
    this.isLoading.value = true;
    this.problem.value = null;
    try {
      const askedAt = this.#jobs.asked();
      const variables = { first: PAGE, after: this.#cursor, filter: filterOf(this.search.peek(), this.show.peek()) };
      const onWait = ({ message }: Error) => (this.problem.value = message);
      const { jobs } = await this.#http.ask(JobsDocument, variables, { signal: asking.signal, onWait });
      this.#jobs.answered(
        jobs.edges.map(({ node }) => node),
        askedAt,
      );
      this.#cursor = jobs.pageInfo.endCursor;
      this.hasMore.value = jobs.pageInfo.hasNextPage;
      this.total.value = jobs.totalCount;
      this.problem.value = null;
      this.#horizon.value = jobs.pageInfo.hasNextPage ? (jobs.edges.at(-1)?.node.createdAt ?? "") : "";
    } catch (problem) {
      if (!asking.signal.aborted) onProblem(problem);
    } finally {
      if (this.#asking === asking) {
        this.#asking = null;
        this.isLoading.value = false;
      }
    }
  }
}

function filterOf(search: string, show: Show): JobFilter {
  const text = search.trim();
  const statuses = STATUSES[show];
  return { ...(text && { search: text }), ...(statuses && { statuses }) };
}

/** What the server's filter says, for what comes by the stream. */
function matcher(search: string, show: Show): (job: Job) => boolean {
  const text = search.trim().toLocaleLowerCase();
  const statuses = STATUSES[show];
  return (job) =>
    (statuses === null || statuses.includes(job.status)) &&
    (text === "" || job.parameters.prompt.toLocaleLowerCase().includes(text));
}

function newestFirst(one: Entry, other: Entry): number {
  const [isDraft, isOtherDraft] = [one.sending.peek() !== null, other.sending.peek() !== null];
  if (isDraft !== isOtherDraft) return isDraft ? -1 : 1;
  const [at, otherAt] = [one.job.peek().createdAt, other.job.peek().createdAt];
  return at < otherAt ? 1 : at > otherAt ? -1 : 0;
}
