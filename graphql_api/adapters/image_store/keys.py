"""What is a key of an image, and what the ID of a job. Whatever is neither reaches no store."""

from __future__ import annotations

import re

from graphql_api.domain.ids import JobId, as_job_id

# Letters, digits and a few signs; no segment starts with a dot.
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


def checked_job_id(text: str) -> JobId:
    """The ID of a job in its one spelling. Raises ValueError for anything else."""
    job_id = as_job_id(text)
    if job_id is None or job_id != text:
        raise ValueError("This is not the ID of a job.")
    return job_id


def split_key(key: str) -> tuple[JobId, str]:
    """The job and the file name in `images/<job id>/<file name>`. Raises ValueError for anything else."""
    match key.split("/"):
        case ["images", job_id, file_name] if _FILE_NAME.fullmatch(file_name):
            return checked_job_id(job_id), file_name
        case _:
            raise ValueError("This is not the key of an image.")
