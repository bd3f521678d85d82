"""TLS towards clients: the certificate of the rules, or one that the mesh makes for itself and keeps."""

from __future__ import annotations

import datetime
import ipaddress
import logging
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from dbmesh.rules.model import ServerTls

OWN_FILE = "server.pem"
OWN_DAYS = 3650  # as long as the certificates that MySQL makes for itself

_log = logging.getLogger(__name__)


class TlsEndpoint:
    """What a listener needs: the context, and the certificate's SHA-256 ``fingerprint``."""

    def __init__(self, context: ssl.SSLContext, fingerprint: bytes) -> None:
        self.context = context
        self.fingerprint = fingerprint

    @classmethod
    def load(cls, rules: ServerTls, state: Path) -> TlsEndpoint:
        """Read the rules' files, or the mesh's own one in ``state``. Raises OSError that says which cannot be used."""
        if rules.certificate is not None:
            return cls._of(rules, rules.certificate)
        try:
            return cls._of(rules, str(own_certificate(state)))
        except OSError as error:
            _log.warning("a certificate for this run only, since none can be kept in %s: %s", state, error)
        with tempfile.TemporaryDirectory() as folder:
            return cls._of(rules, str(own_certificate(Path(folder))))

    @classmethod
    def _of(cls, rules: ServerTls, certificate: str) -> TlsEndpoint:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with _blamed_on(certificate):
            context.load_cert_chain(certificate, rules.key)
            first = x509.load_pem_x509_certificates(Path(certificate).read_bytes())[0]
        if rules.ca is not None:
            with _blamed_on(rules.ca):
                context.load_verify_locations(rules.ca)
            context.verify_mode = ssl.CERT_OPTIONAL  # who must have one is said by the user's `require`
        return cls(context, sha256(first.public_bytes(Encoding.DER)).digest())


@contextmanager
def _blamed_on(file: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise OSError(f"cannot use {file} for TLS: {getattr(error, 'strerror', None) or error}") from error


def own_certificate(state: Path) -> Path:
    """The file with the mesh's own certificate and key, made if there is none or its time is over. Mode 0600."""
    path = state / OWN_FILE
    if not _usable(path):
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=state)  # which nobody else may read
        with os.fdopen(handle, "wb") as file:
            file.write(_self_signed())
        os.replace(name, path)  # whole, whoever else starts at the same time
    return path


def _usable(path: Path) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return certificate.not_valid_after_utc > datetime.datetime.now(datetime.UTC)


def _self_signed() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "DBMesh, made by itself")])
    now = datetime.datetime.now(datetime.UTC)
    hosts: list[x509.GeneralName] = [x509.DNSName(host) for host in sorted({"localhost", socket.gethostname()})]
    hosts += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=OWN_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)
