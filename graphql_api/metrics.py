"""What is counted, and under which names. Everybody counts here; `/metrics` shows it.

The names follow Prometheus: a unit at the end, `_total` for what only grows. Labels have few values: models, phases,
outcomes; never a job, a caller or a text that somebody wrote. Finding the child of a label costs more than counting,
so where it is hot, the child is kept. docs/observability.md lists all of them.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics

from graphql_api import __version__

# When each series began: as many lines again, which Prometheus does not need.
disable_created_metrics()  # type: ignore[no-untyped-call]

# A picture takes from a tenth of a second (the built-in renderer) to minutes (a cold or asynchronous endpoint).
_JOB_SECONDS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600, 1800)
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

BUILD = Info("text2image_build", "The version that runs.")
BUILD.info({"version": __version__})

# --- the queue, read from the job store when somebody asks -----------------------------------------------------------

QUEUE = CollectorRegistry()
"""What `/metrics` reads from the job store each time. Apart, so that it can be left out while the store is away."""

QUEUED_JOBS = Gauge("text2image_queued_jobs", "Jobs that wait for a worker.", ["model"], registry=QUEUE)
OLDEST_QUEUED = Gauge(
    "text2image_oldest_queued_job_seconds",
    "How long the job has waited that was queued first; 0 when none waits.",
    ["model"],
    registry=QUEUE,
)

# --- jobs ------------------------------------------------------------------------------------------------------------

JOBS_FINISHED = Counter(
    "text2image_jobs_finished_total",
    "Jobs that ended, counted by the process that wrote the end. `code` is the failure's, or empty.",
    ["model", "status", "code"],
)
JOB_SECONDS = Histogram(
    "text2image_job_seconds",
    "How long jobs that ended were in each phase: queued until the last claim, generating until the answer, storing.",
    ["model", "phase", "outcome"],
    buckets=_JOB_SECONDS,
)
JOBS_RUNNING = Gauge("text2image_jobs_running", "Jobs that this worker has claimed and not ended.", ["model"])
JOB_SLOTS = Gauge("text2image_job_slots", "Jobs that this worker runs at a time.", ["model"])

# --- models ----------------------------------------------------------------------------------------------------------

INVOCATIONS = Counter(
    "text2image_invocations_total",
    "Invocations of models by outcome: answered, left (nobody waited for the end), not_ready (it did not run), or the "
    "code of the failure.",
    ["model", "outcome"],
)
INFERENCE_SECONDS = Counter(
    "text2image_inference_seconds_total",
    "Seconds from sending an invocation to its end, where it ran or may have. For endpoints that answer later this "
    "includes their own queue.",
    ["model"],
)
INFERENCE_DOLLARS = Counter(
    "text2image_inference_cost_dollars_total",
    "Those seconds times the `price_per_second` of the model, in US dollars. Absent for models without a price.",
    ["model"],
)

# --- leases and upkeep -----------------------------------------------------------------------------------------------

LEASE_RENEWALS_FAILED = Counter(
    "text2image_lease_renewals_failed_total", "Leases that were not renewed because the job store was away."
)
CLAIMS_REVOKED = Counter(
    "text2image_claims_revoked_total",
    "Runs that this worker broke off: the job was canceled, deleted, or claimed by another worker.",
)
JANITOR_WORK = Counter(
    "text2image_janitor_work_total",
    "What the janitor did. `lost_lease` is a job whose worker was silent for too long.",
    ["work"],
)
JANITOR_FAILURES = Counter("text2image_janitor_failures_total", "Rounds that the janitor could not finish.")

# --- requests and streams --------------------------------------------------------------------------------------------

GRAPHQL_OPERATIONS = Counter(
    "text2image_graphql_operations_total",
    "GraphQL operations by type (`none` where the document has none to run) and outcome: ok, refused (the caller can "
    "fix it), fault (ours). A subscription is counted when it begins.",
    ["operation", "outcome"],
)
GRAPHQL_SECONDS = Histogram(
    "text2image_graphql_operation_seconds",
    "How long GraphQL operations took; a subscription until its stream began.",
    ["operation"],
    buckets=_REQUEST_SECONDS,
)
SOCKETS_OPEN = Gauge("text2image_websockets_open", "Open WebSockets.")
STREAMS_OPEN = Gauge("text2image_subscription_streams_open", "Open subscription streams by transport.", ["transport"])
EVENTS_SENT = Counter("text2image_events_sent_total", "Events that subscription streams handed out.", ["kind"])
PROGRESS_CONFLATED = Counter(
    "text2image_progress_conflated_total", "Reports of progress that no watcher saw because a later one took its place."
)
MAILBOX_OVERFLOWS = Counter(
    "text2image_mailbox_overflows_total", "Watchers that were too slow for their notices, and read the rows instead."
)

# --- the broker ------------------------------------------------------------------------------------------------------

BROKER_RECONNECTS = Counter(
    "text2image_broker_reconnects_total", "Connections to the event broker that were lost and made again."
)
BROKER_NOTICES_DROPPED = Counter(
    "text2image_broker_notices_dropped_total",
    "Notices that were not sent because the broker was away; watchers read the rows instead.",
)

# --- webhooks --------------------------------------------------------------------------------------------------------

WEBHOOK_ATTEMPTS = Counter(
    "text2image_webhook_attempts_total",
    "Requests to webhooks by outcome: delivered, refused (another status than 2xx), no_answer, or fault (ours).",
    ["outcome"],
)
WEBHOOKS_GIVEN_UP = Counter(
    "text2image_webhooks_given_up_total", "Deliveries to webhooks that will not be attempted again by themselves."
)

# --- the process -----------------------------------------------------------------------------------------------------

LOOP_LAG = Histogram(
    "text2image_event_loop_lag_seconds",
    "How much later than asked for the event loop woke up a task that sleeps; looked at a few times a second.",
    buckets=_LAG_SECONDS,
)
PART_UP = Gauge("text2image_part_up", "Whether a part answered when `/readyz` looked last: 1 or 0.", ["part"])
