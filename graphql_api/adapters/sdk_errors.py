"""Everything that a call of an AWS client raises, also while its answer is read. Importing this loads the SDK."""

from __future__ import annotations

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

SDK_ERRORS = (BotoCoreError, ClientError, ResponseParserError, aiohttp.ClientError, TimeoutError)
