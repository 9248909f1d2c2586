/** Queries and mutations go by HTTP, subscriptions by WebSocket, both with what the tab Headers says. */
import { createGraphiQLFetcher, type Fetcher, type FetcherParams, type Observable } from "@graphiql/toolkit";
import { getOperationAST, Kind, parse, type ExecutionResult, type OperationDefinitionNode } from "graphql";
import { CloseCode, createClient, type Sink } from "graphql-ws";
import type { StatusStore } from "./status";

type Headers = Record<string, unknown>;

const UNAUTHORIZED = 401;
const RETRY_ATTEMPTS = 20;
const LONGEST_WAIT_MS = 10_000;
const INTROSPECTION = "IntrospectionQuery";

/** A fetcher for the endpoint at `url`, which tells `status` how it goes. */
export function createFetcher(url: URL, status: StatusStore): Fetcher {
  // What was let in counts for tabs that have no headers, for as long as the page is open.
  let admitted: Headers = {};

  return (asked, options) => {
    const operation = operationOf(asked);
    const params: FetcherParams = operation?.name ? { ...asked, operationName: operation.name.value } : asked;
    const headers: Headers = options?.headers ?? admitted;
    const letIn = () => {
      admitted = headers;
      status.letIn(params.operationName !== INTROSPECTION);
    };
    if (operation?.operation === "subscription") {
      return subscription(url, params, headers, status, letIn, mayBeSentAgain(operation, params));
    }
    const fetchAndTell: typeof fetch = async (input, init) => {
      const response = await fetch(input, init);
      if (response.status === UNAUTHORIZED) status.refused();
      else letIn();
      return response;
    };
    const byHttp = createGraphiQLFetcher({ url: url.href, fetch: fetchAndTell, enableIncrementalDelivery: false });
    return byHttp(params, { ...options, headers });
  };
}

/** What is to be executed, or null when that cannot be told. Who changes tabs and runs at once gives the name of the tab
 * before, and its document: GraphiQL looks at what is there a moment later. */
function operationOf({ query, operationName }: FetcherParams): OperationDefinitionNode | null {
  try {
    const document = parse(query);
    return getOperationAST(document, operationName) ?? getOperationAST(document) ?? null;
  } catch {
    return null;
  }
}

/** Without a key, a generation that is sent again is another image, which costs. */
function mayBeSentAgain(operation: OperationDefinitionNode, params: FetcherParams): boolean {
  const generates = operation.selectionSet.selections.some(
    (field) => field.kind !== Kind.FIELD || field.name.value === "generateImage",
  );
  return !generates || JSON.stringify(params).includes("idempotencyKey");
}

/** Each has a connection of its own, since the next may be for somebody else. */
function subscription(
  url: URL,
  params: FetcherParams,
  headers: Headers,
  status: StatusStore,
  letIn: () => void,
  mayRetry: boolean,
): Observable<ExecutionResult> {
  const subscribe = (sink: Sink<ExecutionResult>) => {
    let attempts = 0;
    const client = createClient({
      url: url.href.replace(/^http/, "ws"),
      connectionParams: headers,
      retryAttempts: mayRetry ? RETRY_ATTEMPTS : 0,
      retryWait: wait,
      // By itself it comes back after a close, and not after an attempt that found nobody.
      shouldRetry: () => true,
      on: {
        connecting: (isRetry) => isRetry && status.change({ attempts: (attempts += 1) }),
        connected: () => {
          status.change({ attempts: (attempts = 0) });
          letIn();
        },
      },
    });
    const stop = client.subscribe<ExecutionResult["data"], ExecutionResult["extensions"]>(
      { query: params.query, operationName: params.operationName ?? null, variables: params.variables },
      {
        next: (result) => sink.next(result as ExecutionResult),
        error: (reason) => {
          status.change({ attempts: 0 });
          if (reason instanceof CloseEvent && reason.code === CloseCode.Unauthorized) status.refused();
          sink.error(readable(reason));
        },
        complete: () => {
          status.change({ attempts: 0 });
          sink.complete();
        },
      },
    );
    return { unsubscribe: stop };
  };
  // The type has further ways to subscribe, which GraphiQL does not use.
  return { subscribe } as Observable<ExecutionResult>;
}

function wait(attempt: number): Promise<void> {
  const longest = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** attempt);
  return new Promise((resolve) => setTimeout(resolve, longest * (0.5 + Math.random() / 2)));
}

/** Why a subscription has ended. GraphiQL would show an event of a socket as `{}`, and an `Error` with its stack. */
function readable(reason: unknown): unknown {
  if (reason instanceof CloseEvent) return { message: `The connection was closed: ${reason.code} ${reason.reason}` };
  if (reason instanceof Event) return { message: "The connection was lost." };
  return reason instanceof Error ? { message: reason.message } : reason;
}
