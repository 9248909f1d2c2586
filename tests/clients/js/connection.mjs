// What a client of text2image needs of a connection: a token that is renewed, requests that are asked again, and
// subscriptions that go on after a cut from the last event on. For browsers and Node, and for every GraphQL client that
// takes a `fetch` or a graphql-ws client.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const MOST_REQUESTS = 8;

// After these the same again would only fail again.
const FATAL_CLOSE_CODES = [4400, 4401, 4406, 4409, 4429, 4500];

// These may be over soon.
const PASSING_STATUSES = [408, 425, 429, 500, 502, 503, 504];
const PASSING_ERRORS = ['RATE_LIMITED', 'SERVICE_UNAVAILABLE'];

/** What signs a request or a socket in. `getToken` is asked each time, so that it can hand out a renewed token. */
export async function signIn(getToken) {
  const token = await getToken();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** A `fetch` that signs in, and asks again when the server is away or busy. Give mutations an `idempotencyKey`: then
 *  one whose answer was lost is not done twice. */
export function patientFetch(getToken) {
  return async (url, options) => {
    for (let attempt = 0; ; attempt++) {
      const headers = { ...options.headers, ...(await signIn(getToken)) };
      try {
        const response = await fetch(url, { ...options, headers });
        const isWorthIt = PASSING_STATUSES.includes(response.status) || (response.status === 401 && attempt === 0);
        if (!isWorthIt || attempt + 1 === MOST_REQUESTS) return response;
        await sleep(Number(response.headers.get('Retry-After')) * 1000 || waitBefore(attempt));
      } catch (error) {
        if (options.signal?.aborted || attempt + 1 === MOST_REQUESTS) throw error;
        await sleep(waitBefore(attempt));
      }
    }
  };
}

/** The subscriptions of a graphql-ws or graphql-sse client, which go on after a cut. Give that client
 *  `retryAttempts: 0`: its own retries send the same `after` again, and everything since would come twice. */
export function resuming(client) {
  return {
    subscribe(request, sink) {
      let { variables } = request;
      let attempt = 0;
      let isRefused = false;
      let isOver = false;
      let leave, timer;

      const connect = () => {
        leave = client.subscribe({ ...request, variables }, { next, error, complete });
      };
      const next = (result) => {
        if (result.errors && !result.data) return error(result.errors);
        const { cursor } = Object.values(result.data)[0] ?? {};
        if (cursor) variables = { ...variables, after: cursor };
        attempt = 0;
        isRefused = false;
        sink.next(result);
      };
      const error = (problem) => {
        if (isOver) return;
        // A token that has expired is worth one more try, with a new one.
        const isWorthIt = isExpired(problem) ? !isRefused : isPassing(problem);
        isRefused = isExpired(problem);
        if (isWorthIt) {
          timer = setTimeout(connect, waitBefore(attempt++));
        } else {
          isOver = true;
          sink.error(problem);
        }
      };
      const complete = () => {
        if (isOver) return;
        isOver = true;
        sink.complete();
      };

      connect();
      return () => {
        clearTimeout(timer);
        leave();
        complete();
      };
    },
  };
}

/** Whether the token was good once: close code 4403 of a socket, status 401 of a request. */
function isExpired(problem) {
  return problem?.code === 4403 || problem?.response?.status === 401;
}

/** Whether it may be over soon: errors of the operation, a CloseEvent, or an answer that is no stream. */
function isPassing(problem) {
  if (Array.isArray(problem)) return problem.some((error) => PASSING_ERRORS.includes(error.extensions?.code));
  if (typeof problem?.code === 'number') return !FATAL_CLOSE_CODES.includes(problem.code);
  if (problem?.response) return PASSING_STATUSES.includes(problem.response.status);
  return !(problem instanceof TypeError || problem instanceof SyntaxError);
}

/** Exponential backoff; half of it is chance, so that not all clients of a server come back at once. */
function waitBefore(attempt) {
  const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** attempt);
  return longest / 2 + (Math.random() * longest) / 2;
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
