"""A light client on one host of a rollout. Answers lines of JSON, see bench/harness/party_side.py.

It pulls as dockerd does, and keeps nothing: CONNECT, TLS, challenge, token, manifest, three blobs at a time, each digest
checked. It is in Python because there is one for each node: in Node, receiving 1 GiB over an HTTPS tunnel costs 4.5
CPU-seconds, most of them for 65,536 buffers, and here 1.5. That is time which the nodes would lack.
"""

import base64
import concurrent.futures
import hashlib
import http.client
import json
import pathlib
import re
import ssl
import sys
import time
import urllib.parse

# Python looks for modules beside the script only.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from party_side import answer_questions

# Longest wait for the next bytes, in seconds; a run that hangs says less than one that fails.
TIMEOUT_SECONDS = 600
# Layers in flight, as dockerd's default.
CONCURRENT_BLOBS = 3
# Bytes read at a time; TLS hands out one record of 16 KiB at most.
CHUNK = 64 * 1024
# Longest manifest or token answer, in bytes.
MAX_DOCUMENT = 4 * 1024 * 1024
ACCEPT = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


class Client:
    """One pull of one image."""

    def __init__(self, order):
        self.registry = order["registry"]
        self.repository = order["repository"]
        self.credentials = order.get("credentials")
        self.proxy = order.get("proxy")
        self.authorization = None
        self.first_byte_at = None
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for file in order["trust"]:
            self.tls.load_verify_locations(cafile=file)

    def pull(self, tag):
        self.authorize()
        with self.get(self.registry, self.path("manifests/" + tag), {"Accept": ACCEPT}) as response:
            manifest = json.loads(document(response))
        blobs = {blob["digest"]: blob["size"] for blob in [manifest["config"], *manifest["layers"]]}
        with concurrent.futures.ThreadPoolExecutor(CONCURRENT_BLOBS) as workers:
            # To the last one, so that the first failure is raised.
            list(workers.map(self.pull_blob, blobs.keys(), blobs.values()))

    def authorize(self):
        """The token dance: a request without a token, its challenge, a token for this repository."""
        with self.get(self.registry, "/v2/", {}, expected=(200, 401)) as response:
            if response.status == 200:
                return
            challenge = dict(re.findall(r'(\w+)="([^"]*)"', response.headers["www-authenticate"]))
        realm = urllib.parse.urlsplit(challenge["realm"])
        query = {"service": challenge.get("service", ""), "scope": "repository:%s:pull" % self.repository}
        headers = {}
        if self.credentials is not None:
            pair = "%(username)s:%(password)s" % self.credentials
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        path = "%s?%s" % (realm.path, urllib.parse.urlencode(query))
        with self.get(realm.netloc, path, headers) as response:
            self.authorization = "Bearer " + json.loads(document(response))["token"]

    def pull_blob(self, digest, size):
        sha256 = hashlib.sha256()
        length = 0
        chunk = memoryview(bytearray(CHUNK))
        with self.get(self.registry, self.path("blobs/" + digest), {}) as response:
            while count := response.readinto(chunk):
                if self.first_byte_at is None:
                    self.first_byte_at = time.time()
                sha256.update(chunk[:count])
                length += count
        if length != size or digest != "sha256:" + sha256.hexdigest():
            raise RuntimeError("%s does not match its digest: %d of %d bytes" % (digest, length, size))

    def path(self, rest):
        return "/v2/%s/%s" % (self.repository, rest)

    def get(self, host, path, headers, expected=(200,)):
        """The answer to one request over a connection of its own, through the proxy if there is one."""
        if self.proxy is None:
            connection = http.client.HTTPSConnection(host, timeout=TIMEOUT_SECONDS, context=self.tls)
        else:
            through = (self.proxy["host"], self.proxy["port"])
            connection = http.client.HTTPSConnection(*through, timeout=TIMEOUT_SECONDS, context=self.tls)
            connection.set_tunnel(host)
        if self.authorization is not None:
            headers = {**headers, "Authorization": self.authorization}
        # The connection ends with its answer.
        connection.request("GET", path, headers={**headers, "Connection": "close"})
        response = connection.getresponse()
        if response.status not in expected:
            raise RuntimeError("%s answered %s with %d" % (host, path, response.status))
        return response


def document(response):
    text = response.read(MAX_DOCUMENT + 1)
    if len(text) > MAX_DOCUMENT:
        raise RuntimeError("a document is too long")
    return text


def pull(order):
    """Pulls at `startAt`, in ms since the epoch: all hosts of one machine share the clock."""
    client = Client(order)
    start = order["startAt"] / 1000
    time.sleep(max(0, start - time.time()))
    client.pull(order["tag"])
    return {"seconds": time.time() - start, "firstByteSeconds": client.first_byte_at - start}


answer_questions({"pull": pull})
