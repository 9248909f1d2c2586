"""The audit of the GraphQL-over-HTTP specification that its authors wrote: graphql-http from npm."""

from __future__ import annotations

from tests.clients.node import run_javascript
from tests.clients.server_process import ServerProcess

COST_OF_THE_CSRF_RULE = {
    "5A70": "MAY accept application/x-www-form-urlencoded formatted GET requests",
    "D6D5": "MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting "
    "application/graphql-response+json",
    "6A70": "MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting application/json",
}
"""The audit sends these GET requests as a link on a page of somebody else could, and such are refused."""


def test_all_61_audits_pass_but_for_the_options_that_the_csrf_rule_costs(shared_server: ServerProcess) -> None:
    told = run_javascript("http_audit.mjs", f"{shared_server.origin}/graphql")
    assert told["audits"] == 61
    assert told["findings"] == {audit: ["notice", requirement] for audit, requirement in COST_OF_THE_CSRF_RULE.items()}
