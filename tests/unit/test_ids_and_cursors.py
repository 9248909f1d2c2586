"""Opaque names: what we make we can read, and what we did not make means nothing."""

import uuid

from hypothesis import example, given
from hypothesis import strategies as st

from graphql_api.domain.ids import (
    as_job_id,
    global_id,
    image_key_of,
    key_of,
    new_job_id,
    parse_global_id,
    parse_image_key,
)
from graphql_api.schema.cursors import event_cursor, job_cursor, parse_event_cursor, parse_job_cursor
from tests.contract.sample_jobs import a_job


def test_job_ids_are_version_7_and_sort_by_time() -> None:
    ids = [new_job_id() for _ in range(100)]

    assert len(set(ids)) == 100
    assert {uuid.UUID(each).version for each in ids} == {7}
    assert {uuid.UUID(each).variant for each in ids} == {uuid.RFC_4122}
    assert [each[:8] for each in ids] == sorted(each[:8] for each in ids)


@given(st.from_regex(r"[A-Za-z]{1,30}", fullmatch=True), st.text())
def test_a_global_id_is_read_as_it_was_made(type_name: str, key: str) -> None:
    assert parse_global_id(global_id(type_name, key)) == (type_name, key)
    assert key_of(type_name, global_id(type_name, key)) == key
    assert key_of("Another", global_id(type_name, key)) == (key if type_name == "Another" else None)


@given(st.text())
@example("é")
@example("AA==")
@example("=")
def test_other_text_is_no_global_id_and_no_cursor(text: str) -> None:
    assert parse_event_cursor(text) is None or text == event_cursor(parse_event_cursor(text) or 0)
    parse_job_cursor(text)
    parse_global_id(text)


@given(st.integers(0, 2**53))
def test_an_event_cursor_is_read_as_it_was_made(revision: int) -> None:
    assert parse_event_cursor(event_cursor(revision)) == revision


def test_a_job_cursor_is_read_as_it_was_made() -> None:
    job = a_job()
    position = parse_job_cursor(job_cursor(job))

    assert position is not None
    assert (position.created_at, position.job_id) == (job.created_at, job.id)


def test_cursors_of_one_kind_are_none_of_the_other() -> None:
    assert parse_job_cursor(event_cursor(5)) is None
    assert parse_event_cursor(job_cursor(a_job())) is None


def test_an_image_key_is_read_as_it_was_made() -> None:
    job_id = new_job_id()

    assert parse_image_key(image_key_of(job_id, 3)) == (job_id, 3)


@given(st.text())
@example("01a205ac-c531-7eee-9abd-ad00de89a137/-1")
@example("01a205ac-c531-7eee-9abd-ad00de89a137/²")
@example("01a205ac-c531-7eee-9abd-ad00de89a137/99999")
@example("../../etc/passwd/0")
def test_other_text_is_no_image_key(text: str) -> None:
    assert parse_image_key(text) is None


def test_a_job_id_has_one_spelling() -> None:
    job_id = new_job_id()

    assert as_job_id(job_id.upper()) == job_id
    assert as_job_id(f"{{{job_id}}}") is None
    assert as_job_id(job_id.replace("-", "")) is None
