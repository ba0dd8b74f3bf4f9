"""One side of a transfer by libtorrent 2. Answers lines of JSON, see bench/harness/party_side.py."""

import pathlib
import sys
import time

import libtorrent as lt

# Python looks for modules beside the script only.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from party_side import answer_questions

# Nothing but TCP between the two of us, and no encryption of its own beside TLS.
SETTINGS = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "in_enc_policy": int(lt.enc_policy.disabled),
    "out_enc_policy": int(lt.enc_policy.disabled),
    "allow_multiple_connections_per_ip": True,
    "alert_mask": lt.alert.category_t.error_notification
    | lt.alert.category_t.status_notification
    | lt.alert.category_t.connect_notification,
}
# A transfer that takes longer has hung.
DEADLINE_MS = 300_000

FAILURES = (lt.torrent_error_alert, lt.listen_failed_alert, lt.file_error_alert)

session = None
handle = None
waiting = []


def start(order):
    """Listens, and adds the torrent. The seeder trusts its file, as ours trusts its store."""
    global session, handle
    suffix = "s" if order.get("tls") else ""
    session = lt.session({**SETTINGS, "listen_interfaces": "127.0.0.1:%d%s" % (order["port"], suffix)})
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(order["torrent"])
    params.save_path = order["directory"]
    params.flags = (params.flags | lt.torrent_flags.paused) & ~lt.torrent_flags.auto_managed
    if order["role"] == "seed":
        params.flags |= lt.torrent_flags.seed_mode
    handle = session.add_torrent(params)
    if order.get("tls"):
        handle.set_ssl_certificate(order["tls"]["certificate"], order["tls"]["key"], "", "")
    handle.resume()
    # Without parameters for finite-field Diffie-Hellman, which TLS 1.3 with P-256 does not use, libtorrent raises one alert.
    wait(lt.torrent_resumed_alert, ignored=(lt.torrent_error_alert,))
    return order["port"]


def download(order):
    """Fetches all from one peer until every piece is checked and written; returns the seconds since it was connected.

    libtorrent dials at its next tick, up to half a second later. That wait says nothing about the transfer."""
    handle.connect_peer(("127.0.0.1", order["port"]))
    wait(lt.peer_connect_alert)
    connected = time.monotonic()
    wait(lt.torrent_finished_alert)
    return {"seconds": time.monotonic() - connected}


def wait(kind, ignored=()):
    """Reads alerts up to the first one of a kind. They die when the next ones are fetched, so only their kind is looked at."""
    while True:
        while waiting:
            alert = waiting.pop(0)
            if isinstance(alert, FAILURES) and not isinstance(alert, ignored):
                raise RuntimeError(alert.message())
            if isinstance(alert, kind):
                return
        if session.wait_for_alert(DEADLINE_MS) is None:
            raise RuntimeError("libtorrent did not finish in time")
        waiting.extend(session.pop_alerts())


answer_questions({"start": start, "download": download})
