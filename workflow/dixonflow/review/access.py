"""Who may use the page: whoever has the address that the command printed, on this machine, and no other web page."""

import hmac
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
_LOOPBACK_NAMES = {LOOPBACK, "localhost"}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer: nothing is loaded from elsewhere, framed, or left in the browser's store."""

POST_HEADER = "X-Review-Token"
"""Header of every request that changes something: another site's page can neither read its value nor set it."""


class Access:
    """The two secrets of a server, made when it starts.

    The first is in the address and then in a cookie: other users of the machine reach its loopback, too. The second is
    given to the page that has the cookie, and comes back with what it saves.

    Parameters
    ----------
    port
        Of the server: a browser sends a cookie to all ports of a host, so that its name has the port.
    """

    def __init__(self, port: int) -> None:
        self.token, self.post_token = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._cookie = f"dixonflow_review_{port}"

    def opens(self, token: str) -> bool:
        """Whether an address has the token."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def cookie(self) -> str:
        """Value of the header that sets the cookie, which no script can read and no other site can send."""
        return f"{self._cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has the cookie."""
        try:
            found = SimpleCookie(headers.get("Cookie") or "").get(self._cookie)
        except CookieError:
            return False
        return found is not None and self.opens(found.value)

    def may_change(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from the page."""
        token = headers.get(POST_HEADER) or ""
        own = headers.get("Origin") in (None, f"http://{headers.get('Host')}")
        return own and hmac.compare_digest(token.encode(), self.post_token.encode())


def is_for_loopback(headers: Mapping[str, str]) -> bool:
    """Whether a request names this machine: a name of elsewhere that resolves to it is an attack.

    Any port will do: a tunnel may end at another one.
    """
    try:
        return urlsplit(f"//{headers.get('Host') or ''}").hostname in _LOOPBACK_NAMES
    except ValueError:
        return False
