/** The caller's history: which part of it is known, and which of that is shown. */
import { batch, computed, effect, signal, type ReadonlySignal } from "@preact/signals";
import { endsSession, messageOf } from "../api/errors";
import type { Http } from "../api/http";
import { JobsDocument, type JobFilter, type JobsQuery } from "../api/operations";
import { Fields } from "./fields";
import type { Entry, Job, Jobs } from "./jobs";

const PAGE = 50;

export type Show = "all" | "pictures" | "open" | "failed";

const STATUSES: Record<Show, readonly Job["status"][] | null> = {
  all: null,
  pictures: ["SUCCEEDED"],
  open: ["QUEUED", "RUNNING"],
  failed: ["FAILED"],
};

type Page = JobsQuery["jobs"];
/** Told of what is wrong with the session. What is wrong with a question is `refused`. */
type OnProblem = (problem: unknown) => void;

export class Gallery {
  readonly #fields = new Fields();
  readonly search = this.#fields.make("");
  readonly show = this.#fields.make<Show>("all");
  readonly isLoading = signal(false);
  readonly hasMore = signal(true);
  /** Why an answer is waited for. */
  readonly problem = signal<string | null>(null);
  /** Why there is none: nothing is asked until `tryAgain`, or until the filter changes. */
  readonly refused = signal<string | null>(null);
  /** Newest first. What is older than the pages that were read is left out, or there would be holes. */
  readonly shown: ReadonlySignal<readonly Entry[]>;
  /** How many jobs match in all; null while nobody has said. */
  readonly total: ReadonlySignal<number | null>;

  readonly #http: Http;
  readonly #jobs: Jobs;
  #cursor: string | null = null;
  readonly #horizon = signal("");
  /** How many match that are not shown: what comes and goes among the others is counted by itself. */
  readonly #unseen = signal<number | null>(null);
  #asking: AbortController | null = null;
  #again: () => void = () => undefined;

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
    this.total = computed(() => (this.#unseen.value === null ? null : this.#unseen.value + this.shown.value.length));
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
  start(onProblem: OnProblem): () => void {
    return effect(() => {
      this.search.value;
      this.show.value;
      this.reload(onProblem);
    });
  }

  /** Forget what was read and how it was narrowed. Returns what takes the last back. */
  empty(): () => void {
    return batch(() => {
      this.#become({ cursor: null, hasMore: true, horizon: "", unseen: null });
      this.refused.value = null;
      this.problem.value = null;
      return this.#fields.empty();
    });
  }

  reload(onProblem: OnProblem): void {
    this.#letGo();
    this.#cursor = null;
    this.#unseen.value = null;
    this.refused.value = null;
    void this.more(onProblem, { isFirst: true });
  }

  /** Something may have been missed: read the newest page once more. What is older stays. */
  refresh(onProblem: OnProblem): void {
    const newest = this.shown
      .peek()
      .find(({ sending }) => sending.peek() === null)
      ?.job.peek().createdAt;
    if (this.#cursor === null || newest === undefined) {
      this.reload(onProblem);
      return;
    }
    this.#letGo();
    this.refused.value = null;
    const again = () => this.refresh(onProblem);
    void this.#read(null, onProblem, again, (page, askedAt) => {
      const isJoined = page.pageInfo.hasNextPage && horizonOf(page) <= newest;
      this.#takeFirst(page, askedAt, { isJoined });
    });
  }

  /** Read the next page, unless one is on its way or was refused. */
  async more(onProblem: OnProblem, { isFirst = false } = {}): Promise<void> {
    if (this.#asking !== null || this.refused.peek() !== null || (!isFirst && !this.hasMore.peek())) return;
    const again = () => void this.more(onProblem, { isFirst });
    await this.#read(isFirst ? null : this.#cursor, onProblem, again, (page, askedAt) => {
      if (isFirst) this.#takeFirst(page, askedAt, { isJoined: false });
      else this.#takeNext(page, askedAt);
    });
  }

  /** Ask again for what was refused. */
  tryAgain(): void {
    if (this.refused.peek() === null) return;
    this.refused.value = null;
    this.#again();
  }

  /** A job is about to be deleted: where it is not shown, that is to be counted. */
  deleting(id: string): void {
    const unseen = this.#unseen.peek();
    const isShown = this.shown.peek().some(({ job }) => job.peek().id === id);
    if (unseen === null || isShown || this.isNarrowed || this.#jobs.isDeleted(id)) return;
    this.#unseen.value = Math.max(0, unseen - 1);
  }

  #letGo(): void {
    this.#asking?.abort();
    this.#asking = null;
  }

  async #read(
    after: string | null,
    onProblem: OnProblem,
    again: () => void,
    take: (page: Page, askedAt: number) => void,
  ): Promise<void> {
    const asking = new AbortController();
    this.#asking = asking;
    this.isLoading.value = true;
    this.problem.value = null;
    try {
      const askedAt = this.#jobs.asked();
      const variables = { first: PAGE, after, filter: filterOf(this.search.peek(), this.show.peek()) };
      const onWait = ({ message }: Error) => (this.problem.value = message);
      const { jobs } = await this.#http.ask(JobsDocument, variables, { signal: asking.signal, onWait });
      batch(() => take(jobs, askedAt));
    } catch (problem) {
      if (asking.signal.aborted) return;
      if (endsSession(problem)) onProblem(problem);
      else {
        this.refused.value = messageOf(problem);
        this.#again = again;
      }
    } finally {
      if (this.#asking === asking) {
        this.#asking = null;
        this.isLoading.value = false;
        this.problem.value = null;
      }
    }
  }

  /** The newest page. `isJoined`: it reaches what was read before, which is kept. */
  #takeFirst(page: Page, askedAt: number, { isJoined }: { isJoined: boolean }): void {
    const nodes = page.edges.map(({ node }) => node);
    const horizon = horizonOf(page);
    this.#jobs.answered(nodes, askedAt);
    // What the server finds in a prompt, it knows best.
    if (this.search.peek().trim() === "") {
      const isShown = matcher("", this.show.peek());
      this.#jobs.reconcile(nodes, askedAt, (job) => isShown(job) && job.createdAt > horizon);
    }
    if (isJoined) this.#unseen.value = Math.max(0, page.totalCount - this.shown.peek().length);
    else this.#become({ ...placeOf(page), unseen: page.totalCount - nodes.length });
  }

  #takeNext(page: Page, askedAt: number): void {
    this.#jobs.answered(
      page.edges.map(({ node }) => node),
      askedAt,
    );
    this.#become({ ...placeOf(page), unseen: 0 });
    if (page.pageInfo.hasNextPage) this.#unseen.value = Math.max(0, page.totalCount - this.shown.peek().length);
  }

  #become({ cursor, hasMore, horizon, unseen }: Place & { readonly unseen: number | null }): void {
    this.#cursor = cursor;
    this.hasMore.value = hasMore;
    this.#horizon.value = horizon;
    this.#unseen.value = unseen;
  }
}

/** How far was read. */
interface Place {
  readonly cursor: string | null;
  readonly hasMore: boolean;
  readonly horizon: string;
}

function placeOf(page: Page): Place {
  return { cursor: page.pageInfo.endCursor, hasMore: page.pageInfo.hasNextPage, horizon: horizonOf(page) };
}

/** When the oldest job was made that is known with all that are newer. */
function horizonOf({ pageInfo, edges }: Page): string {
  return pageInfo.hasNextPage ? (edges.at(-1)?.node.createdAt ?? "") : "";
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
