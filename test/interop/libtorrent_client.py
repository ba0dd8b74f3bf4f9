"""A stock libtorrent as an SSL-torrent client. Takes orders as lines of JSON, answers each with a line of JSON."""

import json
import sys
import time

import libtorrent as lt

# Nothing but TCP under the swarm's TLS; impatient, because a test waits.
SETTINGS = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "allow_multiple_connections_per_ip": True,
    "min_announce_interval": 1,
    "min_reconnect_time": 1,
    "max_failcount": 50,
    "alert_mask": lt.alert.category_t.all_categories & ~lt.alert.category_t.performance_warning,
}

session = None
handle = None
seen = []


def start(order):
    """Adds a torrent; with a certificate for it, unless none is given."""
    global session, handle
    session = lt.session({**SETTINGS, "listen_interfaces": "127.0.0.1:%ds" % order["port"]})
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(order["torrent"])
    params.save_path = order["directory"]
    params.flags = (params.flags | lt.torrent_flags.paused) & ~lt.torrent_flags.auto_managed
    handle = session.add_torrent(params)
    if order.get("certificate"):
        handle.set_ssl_certificate(order["certificate"], order["key"], "", "")
    handle.resume()
    return str(params.ti.info_hash())


def connect(order):
    """Dials a peer without any tracker."""
    handle.connect_peer((order["host"], order["port"]))


def announce(_order):
    """Asks the tracker now, whatever it said about the interval."""
    handle.force_reannounce(0, -1, lt.reannounce_flags_t.ignore_min_interval)


def status(_order):
    """How far it is, and what it has seen of peers and tracker since the last call."""
    seen.extend("%s: %s" % (type(alert).__name__, alert.message()) for alert in session.pop_alerts())
    news = [line for line in seen if "peer" in line or "tracker" in line or "torrent" in line]
    seen.clear()
    now = handle.status()
    return {
        "isSeeding": now.is_seeding,
        "downloaded": now.total_payload_download,
        "uploaded": now.total_payload_upload,
        "news": news[-200:],
    }


def stop(_order):
    session.pause()
    time.sleep(0.1)


HANDLERS = {"start": start, "connect": connect, "announce": announce, "status": status, "stop": stop}

for line in sys.stdin:
    question = json.loads(line)
    try:
        answer = {"result": HANDLERS[question["name"]](question.get("argument", {}))}
    except Exception as error:  # Whatever it is, the test shows it.
        answer = {"error": "%s: %s" % (type(error).__name__, error)}
    print(json.dumps(answer), flush=True)
