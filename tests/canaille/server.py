"""An authorization server of another house: Canaille (Python, Authlib), in memory, with one user and one client.

Takes its settings as one JSON argument: client_id, client_secret, redirect_uri, post_logout_redirect_uri.
Prints `ready {"issuer": "…"}` when it serves, on a free port of loopback; ends when its standard input does.
"""

import datetime
import json
import os
import sys
import threading

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server

USER = "alice"
PASSWORD = "any"


class Quiet(WSGIRequestHandler):
    """Writes no line for each request: queries hold codes."""

    def log_request(self, code="-", size="-"):
        pass


def configuration():
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, private=True)
    key.ensure_kid()
    return {
        "SECRET_KEY": os.urandom(32).hex(),
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {"DATABASE": "memory", "JAVASCRIPT": False, "HTMX": False},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
    }


def fill(settings):
    user = models.User(
        user_name=USER,
        formatted_name="Alice Adams",
        given_name="Alice",
        family_name="Adams",
        emails=["alice@example.com"],
        password=PASSWORD,
    )
    Backend.instance.save(user)
    client = models.Client(
        client_id=settings["client_id"],
        client_secret=settings["client_secret"],
        client_name="Cloakroom's tests",
        client_uri="http://localhost",
        redirect_uris=[settings["redirect_uri"]],
        post_logout_redirect_uris=[settings["post_logout_redirect_uri"]],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        scope=["openid", "profile", "email"],
        token_endpoint_auth_method="client_secret_basic",
        client_id_issued_at=datetime.datetime.now(datetime.timezone.utc),
    )
    Backend.instance.save(client)
    # Whom its ID tokens are for.
    client.audience = [client]
    Backend.instance.save(client)


def main():
    settings = json.loads(sys.argv[1])
    app = create_app(configuration())
    with app.app_context(), Backend.instance.session():
        fill(settings)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", json.dumps({"issuer": f"http://127.0.0.1:{server.port}/"}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
