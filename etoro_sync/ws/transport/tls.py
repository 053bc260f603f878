"""TLS contexts: whether one verifies the host, and why a handshake has failed.

Environment variables influence both, and are easily forgotten, so errors name them.
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
#: Variables with which other programs are given certificate authorities.
_OF_OTHERS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE")


def check_verified(context: ssl.SSLContext, host: str, what: str = "ssl_context") -> None:
    """Raise if *context* does not verify that the other end is *host*.

    :param context: an ``ssl.SSLContext``, or another library's replacement.
    :param host: where the keys will be sent; for this machine any context is accepted.
    :param what: where the context comes from, for the error.
    :raises EToroValidationError: naming ``ssl_context``.
    """
    if is_loopback(host) or is_verified(context):
        return
    if getattr(context, "verify_mode", ssl.CERT_NONE) == ssl.CERT_NONE:
        fault = "verifies no certificate (verify_mode is ssl.CERT_NONE)"
    else:
        fault = "accepts the certificate of any host (check_hostname is False)"
    raise EToroValidationError(
        f"{what} {fault}, so the keys could be read on the way to {host}. Use "
        "ssl.create_default_context(), with its load_verify_locations() for an authority of your "
        "own. For a test without secrets there is allow_unverified_tls=True.",
        "ssl_context",
    )


def is_verified(context: ssl.SSLContext) -> bool:
    """Return whether *context* verifies certificates, and that they belong to the host."""
    mode = getattr(context, "verify_mode", ssl.CERT_NONE)
    return mode != ssl.CERT_NONE and bool(getattr(context, "check_hostname", False))


def make_default_context() -> ssl.SSLContext:
    """Return the context for clients without the option ``ssl_context``.

    :raises EToroWebSocketError: when it cannot be made; names the variable if that is the cause.
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
    """Return why *path* cannot be written; ``""``: it can."""
    try:
        with open(path, "ab"):
            return ""
    except OSError as exc:
        return reason(exc)


def tls_error(target: Target, error: BaseException) -> EToroWebSocketError:
    """Return the error that users get when TLS has failed, with advice.

    :param target: the host whose certificate was expected.
    :param error: what was raised.
    """
    if not isinstance(error, ssl.SSLCertVerificationError):
        return EToroWebSocketError(f"The TLS handshake with {target} failed: {reason(error)}.")
    fault = (getattr(error, "verify_message", None) or reason(error)).rstrip(".")
    advice = ["If a proxy of your own inspects TLS, pass an ssl_context that trusts it."]
    code = getattr(error, "verify_code", None)
    if code in _OF_THE_CLOCK:
        now = datetime.now(timezone.utc)
        advice.insert(0, f"Is the clock of this machine right? It says {now:%Y-%m-%d %H:%M} UTC.")
    elif code in _OF_TRUST:
        advice = [*environment_faults(os.environ), *advice]
    return EToroWebSocketError(
        f"The certificate of {target} is not trusted: {fault}. {' '.join(advice)}"
    )


def environment_faults(environ: Mapping[str, str]) -> list[str]:
    """Return sentences that say why certificate authorities may not be found; none: no fault.

    :param environ: the environment variables.
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
