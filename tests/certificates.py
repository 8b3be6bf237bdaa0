"""Certificates for the tests, made by the openssl command: an authority, and what it vouches for."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class OpensslMissing(Exception):
    """The openssl command, which makes the certificates, is not installed."""


@dataclass(frozen=True)
class Certificates:
    """PEM files of an authority, and of a certificate with its key that it vouches for."""

    authority: Path
    certificate: Path
    key: Path


class Authority:
    """An authority of one's own, in a folder. Raises OpensslMissing."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._name = name
        self.certificate = folder / f"{name}.pem"
        if shutil.which("openssl") is None:
            raise OpensslMissing("the openssl command, which makes the certificates, is not installed")
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
        self._openssl("req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN=Test authority {name}", *files)

    def issue(self, name: str, names: str = "DNS:localhost,IP:127.0.0.1", *, days: int = 2) -> Certificates:
        """A certificate for the given names, in files called `name`; with days=-1 one that has expired."""
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
        files = ("-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("req", *_KEY, "-subj", f"/CN={name}", *files)
        signer = ("-CA", f"{self._name}.pem", "-CAkey", f"{self._name}.key", "-CAcreateserial")
        self._openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            *signer,
            "-days",
            str(days),
            "-extfile",
            f"{name}.ext",
            "-out",
            f"{name}.pem",
        )
        return Certificates(self.certificate, self._folder / f"{name}.pem", self._folder / f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)
