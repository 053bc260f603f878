"""The steps that need no network: what this machine has, and what the keys look like."""

import os
import platform
import re
import ssl
import sys
from importlib import metadata, util

from .. import codec
from .._version import __version__
from ..errors import EToroError, EToroValidationError
from ..ws.options import WsClientOptions
from ..ws.protocol.replies import key_faults
from ..ws.session.credentials import Keys
from ..ws.transport.tls import environment_faults, make_default_context
from .findings import Finding, StepFailed, failure_of, parted

__all__ = [
    "COPY_BOTH",
    "check_environment",
    "check_keys",
    "key_notes",
    "keys_unreadable",
    "read_options",
]

#: Variables that change how a client connects. Only their names are reported.
_VARIABLES = (
    *("ETORO_API_KEY", "ETORO_USER_KEY", "ETORO_WS_URL"),
    *("https_proxy", "http_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
#: Libraries that replace sockets and threads, if a program has asked them to.
_REPLACING = ("gevent.monkey", "eventlet.patcher")
#: What stands in place of a key in instructions, such as ``...``, ``<your key>``, ``YOUR_API_KEY``.
_PLACEHOLDER = re.compile(
    r"[.*x-]+|<.*>|\$\{?\w*\}?|(?:your|my|the)\b.*|your[_-].*|change.?me|todo", re.IGNORECASE
)
#: A user key that eToro's settings page shows is a JSON object in base64, as users' programs show.
_USER_KEY = "eyJ"
_SHORT = 12
#: What to do about keys that are missing, or that eToro does not know.
COPY_BOTH = (
    "Copy both from eToro's settings (Settings > Trading > API keys) and set ETORO_API_KEY (REST "
    "header x-api-key) and ETORO_USER_KEY (x-user-key)."
)


def read_options() -> WsClientOptions:
    """Return the options that the environment gives a client, without keys.

    :raises StepFailed: when one is not valid.
    """
    try:
        return WsClientOptions.from_env(api_key="", user_key="")
    except EToroValidationError as error:
        found, advice = parted(error)
        remedy = advice or "Correct or unset the variable ETORO_WS_URL."
        raise StepFailed(f"ETORO_WS_URL: {found}", remedy, of_user=True) from None


def check_environment(options: WsClientOptions) -> Finding:
    """Report versions and variables, and check that TLS can be prepared.

    :raises StepFailed: when it cannot.
    """
    notes: list[str] = []
    if options.ssl_context is None:
        try:
            make_default_context()
        except EToroError as error:
            raise failure_of(error) from None
        notes += environment_faults(os.environ)
    details = {
        "etoro_sync": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "openssl": ssl.OPENSSL_VERSION,
        "websocket_client": metadata.version("websocket-client"),
        "json": codec.JSON_BACKEND,
        "socks": util.find_spec("socksio") is not None,
        "variables": _set_variables(),
    }
    patched = [name.partition(".")[0] for name in _REPLACING if _has_patched(name)]
    notes += [f"{name} has replaced sockets in this process." for name in patched]
    text = (
        f"etoro_sync {__version__}, {details['python']} on {details['system']}, "
        f"{ssl.OPENSSL_VERSION}, JSON by {codec.JSON_BACKEND}"
    )
    return Finding(text, tuple(notes), details)


def _set_variables() -> list[str]:
    return [n for n in _VARIABLES if os.environ.get(n) or os.environ.get(n.upper())]


def _has_patched(name: str) -> bool:
    asked = getattr(sys.modules.get(name), "is_module_patched", None)
    asked = asked or getattr(sys.modules.get(name), "is_monkey_patched", None)
    return bool(asked and asked("socket"))


def check_keys(keys: Keys) -> Finding:
    """Check that both keys are there, and look like keys.

    :raises StepFailed: when one is missing, or cannot be a key.
    """
    named = {"ETORO_API_KEY": keys.api_key, "ETORO_USER_KEY": keys.user_key}
    missing = [name for name, key in named.items() if not key]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        found = f"{' and '.join(missing)} {are} not set, or empty."
        raise StepFailed(found, COPY_BOTH, of_user=True)
    for name, key in named.items():
        if _PLACEHOLDER.fullmatch(key):
            found = f"{name} holds a placeholder of the instructions, and not a key."
            raise StepFailed(found, COPY_BOTH, of_user=True)
    faults = key_faults(keys.api_key, keys.user_key)
    if "quotation mark" in faults or "blank" in faults:
        raise StepFailed(faults, "Set the variables to the bare keys.", of_user=True)
    return Finding("both are set", tuple(key_notes(keys)))


def key_notes(keys: Keys) -> list[str]:
    """Return what is odd about keys that may be right all the same, in sentences without them."""
    notes = []
    if keys.api_key == keys.user_key:
        notes.append("Both keys are the same, as they are for a simulator only.")
    for name, key in (("API key", keys.api_key), ("user key", keys.user_key)):
        if len(key) < _SHORT:
            notes.append(f"The {name} is shorter than eToro's are known to be.")
    if keys.api_key.startswith(_USER_KEY) and not keys.user_key.startswith(_USER_KEY):
        notes.append("The keys look swapped: the API key begins as user keys do.")
    return notes


def keys_unreadable(error: Exception) -> StepFailed:
    """Return the failure of keys that a client would refuse, or that a function did not return."""
    found, advice = parted(error)
    return StepFailed(found, advice or COPY_BOTH, of_user=True)
