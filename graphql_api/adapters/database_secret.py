"""The login of a database in AWS Secrets Manager, as RDS manages it."""

from __future__ import annotations

import json
import logging

from graphql_api.adapters.aws import SecretsManagerClient, error_code
from graphql_api.adapters.database_login import DatabaseLogin
from graphql_api.adapters.sdk_errors import SDK_ERRORS
from graphql_api.domain.errors import ServiceUnavailable

logger = logging.getLogger(__name__)


class SecretUnreadable(ServiceUnavailable):
    """The secret cannot be read, or does not say who logs in."""


class DatabaseSecret:
    """A secret with a JSON object that has `username` and `password`; whatever else it has is passed over.

    Source of the names: "JSON structure of AWS Secrets Manager database credential secrets", AWS Secrets Manager User
    Guide.
    """

    def __init__(self, client: SecretsManagerClient, name: str) -> None:
        self._client = client
        self._name = name
        self._last: DatabaseLogin | None = None

    async def login(self) -> DatabaseLogin:
        """The login as it is now, or as it was read last while it cannot be read: most likely it is still right.

        Raises SecretUnreadable when it was never read.
        """
        try:
            self._last = await self._read()
        except SecretUnreadable as error:
            if self._last is None:
                raise
            logger.warning("a connection is opened with what the secret of the database said before: %s", error)
        return self._last

    async def _read(self) -> DatabaseLogin:
        try:
            answer = await self._client.get_secret_value(SecretId=self._name)
        except SDK_ERRORS as error:
            raise SecretUnreadable(
                f"The secret that TEXT2IMAGE_DATABASE_SECRET names cannot be read ({error_code(error)})."
            ) from error
        try:
            value = json.loads(answer["SecretString"])
            username, password = value["username"], value["password"]
        except (KeyError, TypeError, ValueError):
            username = password = None
        if not isinstance(username, str) or not isinstance(password, str):
            # Without a cause: it would quote the secret.
            raise SecretUnreadable(
                "The secret that TEXT2IMAGE_DATABASE_SECRET names is no JSON object with username and password."
            ) from None
        return DatabaseLogin(username, password)
