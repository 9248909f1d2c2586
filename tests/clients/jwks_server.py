"""An issuer of tokens: a real HTTP server with an OpenID configuration and a JWKS, and the keys to sign with."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.clients.ports import free_port

CONFIGURATION_PATH = "/realms/test/.well-known/openid-configuration"
JWKS_PATH = "/realms/test/keys"

_CURVES: Mapping[str, ec.EllipticCurve] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}


class SigningKey:
    """A private key of an issuer."""

    def __init__(self, algorithm: str = "ES256", *, kid: str | None = None, rsa_bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.kid = secrets.token_hex(4) if kid is None else kid
        self._private: Any
        if algorithm in _CURVES:
            self._private = ec.generate_private_key(_CURVES[algorithm])
        elif algorithm == "EdDSA":
            self._private = ed25519.Ed25519PrivateKey.generate()
        else:
            self._private = rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half, as a JWKS lists it."""
        of_algorithm = jwt.get_algorithm_by_name(self.algorithm)
        public: dict[str, Any] = of_algorithm.to_jwk(self._private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    @property
    def public_pem(self) -> bytes:
        """The public half, as PEM."""
        pem: bytes = self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    def sign(self, claims: Mapping[str, Any], *, header: Mapping[str, Any] | None = None) -> str:
        """A token, whatever the claims are. A `kid` of None in the header leaves it out."""
        headers = {"kid": self.kid, **(header or {})}
        # As bytes: PyJWT's own check of claims would refuse those that a test wants refused by somebody else.
        return jwt.PyJWS().encode(
            json.dumps(claims).encode(),
            self._private,
            algorithm=self.algorithm,
            headers={name: value for name, value in headers.items() if value is not None},
        )


class JwksServer:
    """Serves an OpenID configuration and a JWKS. May be told to fail, to hang, or to be stopped and started again."""

    def __init__(self, *keys: SigningKey) -> None:
        self.port = free_port()
        self.keys = list(keys)
        self.requests: list[str] = []
        """The path of every request."""
        self.answers: dict[str, tuple[int, bytes]] = {}
        """Path -> status and body, in place of what is right."""
        self.headers: dict[str, str] = {}
        """Headers that every answer has besides."""
        self._go_on = threading.Event()
        self._go_on.set()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def origin(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        """What tokens of it say in `iss`."""
        return f"{self.origin}/realms/test"

    @property
    def jwks_url(self) -> str:
        """Where its keys are."""
        return f"{self.origin}{JWKS_PATH}"

    @property
    def fetches(self) -> int:
        """How often its keys were asked for."""
        return self.requests.count(JWKS_PATH)

    def start(self) -> JwksServer:
        """Begin to answer."""
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Listen no more, whether it did or not."""
        self.resume()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        self._server = self._thread = None

    def hang(self) -> None:
        """Take requests and answer none."""
        self._go_on.clear()

    def resume(self) -> None:
        """Answer all of them."""
        self._go_on.set()

    def _answer(self, path: str) -> tuple[int, bytes]:
        if path in self.answers:
            return self.answers[path]
        if path == CONFIGURATION_PATH:
            return 200, json.dumps({"issuer": self.issuer, "jwks_uri": self.jwks_url}).encode()
        if path == JWKS_PATH:
            return 200, json.dumps({"keys": [key.jwk for key in self.keys]}).encode()
        return 404, b"{}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests.append(self.path)
                issuer._go_on.wait()
                status, body = issuer._answer(self.path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **issuer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked has left: nothing to tell of."""
