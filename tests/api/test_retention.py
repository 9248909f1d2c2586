"""What is kept, and for how long."""

from __future__ import annotations

from tests.clients.graphql_http import Api
from tests.clients.graphql_socket import open_socket
from tests.clients.server_process import StartServer
from tests.clients.waiting import eventually

EXPIRY = "query Expiry($id: ID!) { job(id: $id) { createdAt expiresAt } }"
WATCH = "subscription { jobsUpdated { kind jobId } }"


async def test_job_that_has_expired_is_deleted_with_its_images_and_its_watchers_are_told(
    start_server: StartServer,
) -> None:
    server = start_server(endpoint="sketch:", retention="1.5", lease="1")
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        operation = await socket.subscribe(WATCH)
        job = await api.generate()
        assert (await api.data(EXPIRY, {"id": job["id"]}))["job"]["expiresAt"] > job["createdAt"]
        done = await api.finished(job["id"])
        assert (await api.http.get(done["images"][0]["url"])).status_code == 200

        kinds = []
        while "DELETED" not in kinds:
            told = await socket.next_of(operation)
            assert told is not None
            kinds.append(told["data"]["jobsUpdated"]["kind"])

        assert await api.job(job["id"]) is None
        images = server.data_dir / "images"
        await eventually(lambda: not [path for path in images.glob("[!.]*/*") if path.is_file()])


async def test_job_is_kept_for_ever_where_nothing_says_otherwise(start_server: StartServer) -> None:
    server = start_server(endpoint="sketch:")
    async with Api(server.origin) as api:
        job = await api.generate()

        assert (await api.data(EXPIRY, {"id": job["id"]}))["job"]["expiresAt"] is None
