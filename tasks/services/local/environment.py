"""All that the servers see of the environment."""

import os
import sys
from pathlib import Path

from labelwise.tasks.services import guard
from labelwise.tasks.services.local.layout import MARK
from labelwise.tasks.services.urls import ask_directly

# Label Studio reads names as plain as HOST, CI and DEBUG; Prefect and MLflow would follow the user's own settings.
# So the servers get these from outside, and nothing else.
INHERITED = (
    *("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy", guard.HOSTS),
)
QUIET = {
    "DO_NOT_TRACK": "true",
    "PYTHONUNBUFFERED": "1",  # the last words of a dying server reach its log
    "PYTHONUTF8": "1",  # in any locale
    "PYTHONSAFEPATH": "1",
    "PYTHONNOUSERSITE": "1",
    "COLLECT_ANALYTICS": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "LATEST_VERSION_CHECK": "false",
    "FEATURE_FLAGS_OFFLINE": "true",
    "DISABLE_SIGNUP_WITHOUT_LINK": "true",
    "DEBUG": "false",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes and 1 GB less
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_COLORS": "false",
}
# Label Studio calls and reads no address that is not public. Our webhook is on loopback, so that alone is taken off its
# list; and its list can only be changed by giving all of it.
UNREACHABLE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
    *("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    *("::/128", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32"),
    *("2001:20::/28", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
)
GUARDED = {
    "SSRF_PROTECTION_ENABLED": "true",
    "USE_DEFAULT_BANNED_SUBNETS": "false",
    "USER_ADDITIONAL_BANNED_SUBNETS": ",".join(UNREACHABLE),
}


def environment(folder: Path, ports: dict[str, int], kept: dict[str, str]) -> dict[str, str]:
    """The variables of the three servers. kept: what `credentials` keeps of Label Studio."""
    ask_directly()  # they call one another, and Label Studio calls us
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    places = {
        MARK: str(folder),
        "PATH": path,
        "LABELWISE_HOME": str(folder),
        "LABELWISE_PYTHON": sys.executable,
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "label-studio"),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder / "prefect" / "page"),  # of itself in its package's folder
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{ports['prefect']}/api",  # else its page looks at port 4200
    }
    numbers = {f"LABELWISE_{name.upper().replace('-', '_')}_PORT": str(port) for name, port in ports.items()}
    return inherited | QUIET | GUARDED | _admitting(ports) | kept | places | numbers


def _admitting(ports: dict[str, int]) -> dict[str, str]:
    """The names under which the servers may be asked, and the pages that may ask them: see `guard`."""
    names = guard.hosts()
    outside = [name for name in names if name not in guard.OWN]
    return {
        "ALLOWED_HOSTS": ",".join(names),
        "CORS_ALLOW_ALL_ORIGINS": "false",
        "CSRF_TRUSTED_ORIGINS": ",".join(f"https://{name}" for name in outside),  # behind a proxy with TLS
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join([*names, *(f"{name.replace('[', '[[]')}:*" for name in names)]),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"https://{name}" for name in outside),
        # Its page asks under 127.0.0.1, whichever name of this machine brought it up.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"http://{name}:{ports['prefect']}" for name in guard.OWN),
    }
