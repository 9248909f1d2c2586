"""The explorer: Strawberry's GraphiQL page with our endpoint and with tabs that work as they are.

The page fetches GraphiQL from a CDN. A later version bundles it.
"""

from __future__ import annotations

import json
from functools import cache

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from strawberry.http.ides import get_graphql_ide_html

GENERATE = """# 1. Queue an image. Then look at the next tab.
mutation Generate {
  generateImage(input: {
    prompt: "a lighthouse over the ocean at sunset"
    style: "watercolor"
    size: { aspectRatio: LANDSCAPE_4_3 }
  }) {
    job { id status queuePosition parameters { seed width height renderedPrompt } }
    errors { __typename ... on UserError { message path } }
  }
}
"""

FOLLOW = """# 2. Follow all jobs: run this, then run the mutation of the first tab again.
subscription Follow {
  jobsUpdated {
    kind
    cursor
    job {
      id
      status
      progress { phase step totalSteps fraction etaSeconds previewUrl }
      images { url thumbnailUrl width height }
      failure { code message }
    }
  }
}
"""

ONE_SHOT = """# 3. Both in one: start an image and follow it to its end.
#    Another picture needs another idempotencyKey.
subscription OneShot {
  generateImage(input: {
    prompt: "snowy mountains under the stars"
    idempotencyKey: "explorer-1"
  }) {
    kind
    job { id status progress { step totalSteps } images { url } }
  }
}
"""

HISTORY = """# 4. What there is.
query History {
  jobs(first: 10) {
    totalCount
    edges { node { id status createdAt parameters { prompt } images { url blurHash } timings { totalSeconds } } }
    pageInfo { hasNextPage endCursor }
  }
  models { name availability defaults { width height steps } }
}
"""

TABS = [{"query": query} for query in (GENERATE, FOLLOW, ONE_SHOT, HISTORY)]

_REPLACEMENTS = {
    "<title>Strawberry GraphiQL</title>": "<title>Text to image: GraphiQL</title>",
    'const fetchURL = window.location.href.split("?")[0];': 'const fetchURL = window.location.origin + "/graphql";',
    "          query: query,\n          variables: variables,\n          headers: headers,\n": (
        f"          defaultTabs: parameters.q ? undefined : {json.dumps(TABS)},\n"
        "          query: parameters.q && query,\n          headers: headers,\n"
    ),
    "parameters.q || EXAMPLE_QUERY": "parameters.q",
    "shouldPersistHeaders: true": "shouldPersistHeaders: false",
    ">Loading...<": ">GraphiQL is fetched from unpkg.com, which needs the internet. The API itself does not.<",
}


@cache
def explorer_page() -> str:
    """The page. Raises ValueError when Strawberry's page is not the one that this was written for."""
    page = get_graphql_ide_html("graphiql")
    for old, new in _REPLACEMENTS.items():
        if old not in page:
            raise ValueError(f"Strawberry's GraphiQL page has changed: {old!r} is missing.")
        page = page.replace(old, new)
    return page


def explorer_routes() -> list[Route]:
    """GET /graphiql, and / which leads there."""

    async def show(request: Request) -> Response:
        return HTMLResponse(explorer_page(), headers={"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"})

    async def lead(request: Request) -> Response:
        return RedirectResponse("/graphiql")

    return [Route("/graphiql", show), Route("/", lead)]
