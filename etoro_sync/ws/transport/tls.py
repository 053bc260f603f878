"""TLS contexts: whether one proves who the other end is, and why TLS has failed.

Much of that is decided by the environment, in variables that nobody remembers; so errors name them.
"""

import os
import re
import ssl
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone

from ...errors import EToroValidationError, EToroWebSocketError
from .reasons import reason
from .target import Target, is_loopback

__all__ = [
    "check_verified",
    "environment_faults",
    "is_verified",
    "make_default_context",
    "tls_error",
]

#: X509_V_ERR_*: not valid yet, expired.
_OF_THE_CLOCK = (9, 10)
#: No issuer, self-signed, self-signed in the chain, no local issuer, no signature to verify.
_OF_TRUST = (2, 18, 19, 20, 21)
#: Variables with which other programs are told whom to trust.
_OF_OTHERS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE")


def check_verified(context: ssl.SSLContext, host: str, what: str = "ssl_context") -> None:
    """Refuse a context with which anybody could pass for *host*.

    :param what: where the context comes from, for the error.
    :param host: where the keys are to go; to this machine itself any context will do.
    :raises EToroValidationError: naming ``ssl_context``.
    """
    if is_loopback(host) or is_verified(context):
        return
    if getattr(context, "verify_mode", ssl.CERT_NONE) == ssl.CERT_NONE:
        fault = "verifies no certificate (verify_mode is ssl.CERT_NONE)"
    else:
        fault = "accepts the certificate of any host (check_hostname is False)"
    raise EToroValidationError(
        f"{what} {fault}, so that whoever is on the way to {host} could read the keys. Use "
        "ssl.create_default_context(), and its load_verify_locations() for an authority of your "
        "own. For a test without secrets there is allow_unverified_tls=True.",
        "ssl_context",
    )


def is_verified(context: ssl.SSLContext) -> bool:
    """Return whether *context* lets only the host itself pass for it."""
    mode = getattr(context, "verify_mode", ssl.CERT_NONE)
    return mode != ssl.CERT_NONE and bool(getattr(context, "check_hostname", False))


def make_default_context() -> ssl.SSLContext:
    """Return the context for those who pass none.

    :raises EToroWebSocketError: when it cannot be made, naming the variable that is the cause.
    """
    try:
        return ssl.create_default_context()
    except OSError as exc:
        path = os.environ.get("SSLKEYLOGFILE")
        fault = path and _unwritable(path)
        if not fault:
            raise EToroWebSocketError(f"Cannot prepare TLS: {reason(exc)}.") from exc
        raise EToroWebSocketError(
            f"Cannot prepare TLS: the variable SSLKEYLOGFILE names {path}, which cannot be written "
            f"({fault}). Unset it, or name another file."
        ) from exc


def _unwritable(path: str) -> str:
    try:
        with open(path, "ab"):
            return ""
    except OSError as exc:
        return reason(exc)


def tls_error(target: Target, error: BaseException) -> EToroWebSocketError:
    """Return what a failure of TLS is to users.

    :param target: the host that the certificate is to be of.
    :param error: what was raised.
    """
    if not isinstance(error, ssl.SSLCertVerificationError):
        return EToroWebSocketError(f"The TLS handshake with {target} failed: {reason(error)}.")
    words = (getattr(error, "verify_message", None) or reason(error)).rstrip(".")
    advice = ["If a proxy of your own inspects TLS, pass an ssl_context that trusts it."]
    code = getattr(error, "verify_code", None)
    if code in _OF_THE_CLOCK:
        now = datetime.now(timezone.utc)
        advice.insert(0, f"Is the clock of this machine right? It says {now:%Y-%m-%d %H:%M} UTC.")
    elif code in _OF_TRUST:
        advice = [*environment_faults(os.environ), *advice]
    return EToroWebSocketError(
        f"The certificate of {target} is not trusted: {words}. {' '.join(advice)}"
    )


def environment_faults(environ: Mapping[str, str]) -> list[str]:
    """Return, as sentences, why the system's authorities may not be found.

    :param environ: the variables.
    """
    paths = ssl.get_default_verify_paths()
    faults = [*_file_faults(environ, paths), *_directory_faults(environ, paths)]
    given = any(name in environ for name in (paths.openssl_cafile_env, paths.openssl_capath_env))
    if not given and sys.platform != "win32" and not (paths.cafile or paths.capath):
        faults.append(
            f"This machine has no authorities at {paths.openssl_cafile} or {paths.openssl_capath}: "
            "install its package of them, such as ca-certificates."
        )
    for name in _OF_OTHERS:
        if environ.get(name) and environ[name] != environ.get(paths.openssl_cafile_env):
            faults.append(
                f"The variable {name} is set to {environ[name]}, but is not read here: set "
                f"{paths.openssl_cafile_env} to that file, or pass an ssl_context that loads it."
            )
    return faults


def _file_faults(environ: Mapping[str, str], paths: ssl.DefaultVerifyPaths) -> Iterator[str]:
    name = paths.openssl_cafile_env
    path = environ.get(name)
    if path is None:
        return
    try:
        with open(path, "rb") as file:
            found = any(b"-----BEGIN" in line for line in file)
    except (OSError, ValueError) as exc:
        yield f"The variable {name} names {path!r}, which cannot be read ({reason(exc)})."
    else:
        if not found:
            yield f"The variable {name} names {path!r}, which holds no certificate."


def _directory_faults(environ: Mapping[str, str], paths: ssl.DefaultVerifyPaths) -> Iterator[str]:
    name = paths.openssl_capath_env
    for path in environ.get(name, "").split(os.pathsep):
        if not path:
            continue
        try:
            found = any(re.fullmatch(r"[0-9a-f]{8}\.[0-9]+", entry) for entry in os.listdir(path))
        except (OSError, ValueError) as exc:
            yield f"The variable {name} names {path!r}, which cannot be read ({reason(exc)})."
        else:
            if not found:
                yield (
                    f"The variable {name} names {path!r}, which holds no certificate under a name "
                    "that OpenSSL looks for: run openssl rehash there."
                )
