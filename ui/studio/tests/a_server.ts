/** A server that the page asks, as far as a test says what it answers. */
import { vi } from "vitest";
import { aJob } from "./a_job";
import type { Job } from "../state/jobs";

export const MODEL = {
  id: "model",
  name: "sketch",
  description: null,
  isDefault: true,
  availability: "READY",
  license: null,
  defaults: { width: 768, height: 768, steps: 50, guidanceScale: 7.5 },
  limits: { maxCount: 4, maxDimension: 1536, maxPromptLength: 2000, maxSteps: 100, sizeMultiple: 8 },
} as const;

interface Question {
  readonly operation: string;
  readonly variables: { readonly input?: { readonly prompt: string; readonly idempotencyKey: string } };
  readonly key: string | null;
  readonly answer: (data: unknown, init?: ResponseInit) => void;
}

type Answers = Readonly<Record<string, ((question: Question) => unknown) | undefined>>;

/** Answers questions by the name of their operation: with data, with an Error for a refusal, with a number for a status,
 * or, with undefined, when the test calls `answer` of the question. */
export class Server {
  readonly asked: Question[] = [];
  answers: Answers = {};

  constructor() {
    vi.stubGlobal("fetch", (_: string, init: RequestInit) => this.#fetch(init));
  }

  /** What was asked by an operation. */
  of(operation: string): readonly Question[] {
    return this.asked.filter((question) => question.operation === operation);
  }

  #fetch({ body, headers, signal }: RequestInit): Promise<Response> {
    const { query, variables } = JSON.parse(body as string) as { query: string; variables: Question["variables"] };
    return new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason as Error));
      const question = {
        operation: /(?:query|mutation) (\w+)/.exec(query)?.[1] ?? "",
        variables,
        key: new Headers(headers).get("Authorization")?.slice("Bearer ".length) ?? null,
        answer: (data: unknown, init?: ResponseInit) => resolve(new Response(JSON.stringify({ data }), init)),
      };
      this.asked.push(question);
      const answer = this.answers[question.operation]?.(question);
      if (typeof answer === "number") resolve(new Response(null, { status: answer }));
      else if (answer instanceof Error)
        resolve(new Response(JSON.stringify({ errors: [{ message: answer.message }] })));
      else if (answer !== undefined) question.answer(answer);
    });
  }
}

/** What a caller is told who signs in. */
export function welcome(id: string) {
  return { viewer: { id, name: id, role: "MEMBER" }, models: [MODEL], styles: [] };
}

/** A page of a list. */
export function page(jobs: readonly Job[], { hasNextPage = false, totalCount = jobs.length } = {}) {
  const edges = jobs.map((node) => ({ node }));
  return { jobs: { totalCount, pageInfo: { hasNextPage, endCursor: jobs.at(-1)?.id ?? null }, edges } };
}

/** Numbered jobs, of which the highest number is the newest. */
export function someJobs(...numbers: number[]): Job[] {
  return numbers.map((number) => aJob({ id: `job ${number}`, createdAt: `2026-11-24T12:00:${10 + number}.000000Z` }));
}
