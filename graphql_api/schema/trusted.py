"""Trusted documents: the queries of one's own frontends, known to the server before it starts.

The file is what the compilers write: an object of texts by ID (relay-compiler's `persistConfig`, GraphQL Code
Generator's `persisted-documents.json`), or Apollo's manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SETTING = "TEXT2IMAGE_DOCUMENTS"
HASH_PREFIX = "sha256:"
APOLLO_FORMAT = "apollo-persisted-query-manifest"


@dataclass(frozen=True, slots=True)
class TrustedDocuments:
    """Texts by everything that they can be asked for by: ID in the file, and SHA-256 with and without `sha256:`."""

    by_id: Mapping[str, str]

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> TrustedDocuments:
        """Documents by their IDs. An ID of the file wins over the hash of another document."""
        by_hash = {hash_of(text): text for text in texts.values()}
        prefixed = {HASH_PREFIX + digest: text for digest, text in by_hash.items()}
        return cls({**by_hash, **prefixed, **texts})

    def joined(self, others: TrustedDocuments) -> TrustedDocuments:
        """These and others. An ID of these wins."""
        return TrustedDocuments({**others.by_id, **self.by_id})

    @property
    def texts(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self.by_id.values())

    def find(self, document_id: str) -> str | None:
        """The text of that ID or hash."""
        return self.by_id.get(document_id)


def read_trusted_documents(path: Path | str) -> TrustedDocuments:
    """Read a file of trusted documents. Raises ValueError with a sentence for one that is missing or is none.

    Whether the documents fit the schema is checked by `JobSchema.with_rules`.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(f"{SETTING}: {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{SETTING}: {path} is not JSON in UTF-8.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{SETTING}: {path} must hold a JSON object.")
    is_manifest = "format" in content and "operations" in content
    texts = dict(_operations_of(content, path) if is_manifest else _entries_of(content, path))
    if not texts:
        raise ValueError(f"{SETTING}: {path} holds no documents.")
    return TrustedDocuments.of(texts)


def hash_of(text: str) -> str:
    """The SHA-256 of a text, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _entries_of(content: Mapping[str, Any], path: Path | str) -> Iterator[tuple[str, str]]:
    for document_id, text in content.items():
        if not isinstance(text, str) or not document_id:
            raise ValueError(f"{SETTING}: {path} must map IDs to the texts of documents; {document_id!r} does not.")
        yield document_id, text


def _operations_of(content: Mapping[str, Any], path: Path | str) -> Iterator[tuple[str, str]]:
    if content["format"] != APOLLO_FORMAT or content.get("version") != 1 or not isinstance(content["operations"], list):
        raise ValueError(f'{SETTING}: {path} must be a manifest of format "{APOLLO_FORMAT}", version 1.')
    for number, operation in enumerate(content["operations"]):
        document_id, text = (
            (operation.get("id"), operation.get("body")) if isinstance(operation, dict) else (None, None)
        )
        if not isinstance(document_id, str) or not isinstance(text, str) or not document_id:
            raise ValueError(f"{SETTING}: {path}: operation {number} must have an `id` and a `body`.")
        yield document_id, text


def extensions_of(parameters: Mapping[str, Any]) -> Any:
    """The extensions among the parameters of a request, with its `documentId` put into them: that is where
    DocumentRequest looks, whatever the transport. What is no object is for others to refuse."""
    extensions, document_id = parameters.get("extensions"), parameters.get("documentId")
    if document_id is None or not isinstance(extensions, dict | None):
        return extensions
    return {**(extensions or {}), "documentId": document_id}


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """How a request names its document: by text, by ID, or by both, which then have to agree."""

    query: str | None
    document_id: str | None

    @classmethod
    def of(cls, query: str | None, extensions: Mapping[str, Any] | None) -> DocumentRequest:
        """Read it from a request: `documentId` of GraphQL over HTTP, `persistedQuery` of Apollo and urql.

        Raises ValueError with a sentence for parameters of the wrong shape.
        """
        given = extensions or {}
        document_id = given.get("documentId")
        if not isinstance(document_id, str | None):
            raise ValueError("`documentId` must be a string.")
        digest = _digest(given.get("persistedQuery"))
        if document_id is not None and digest is not None and document_id.removeprefix(HASH_PREFIX) != digest:
            raise ValueError("`documentId` and `persistedQuery` name two documents.")
        return cls(query or None, document_id or digest)


def _digest(persisted: object) -> str | None:
    if persisted is None:
        return None
    if not isinstance(persisted, dict):
        raise ValueError("`persistedQuery` must be an object.")
    version, digest = persisted.get("version"), persisted.get("sha256Hash")
    if version != 1 or isinstance(version, bool | float):
        raise ValueError("`persistedQuery` must be of version 1.")
    if not isinstance(digest, str) or not digest:
        raise ValueError("`sha256Hash` must be a string.")
    return digest
