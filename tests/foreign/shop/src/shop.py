"""The shop: pages that take orders, and a worker that packs them."""

from __future__ import annotations

import http.server
import os
import socket
import sys
import time
import urllib.request


def ask_cache(*words: str) -> str:
    """Send one command and return the first line of its answer."""
    with socket.create_connection((os.environ["CACHE_HOST"], 6379), timeout=5) as stream:
        parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        stream.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
        return stream.makefile().readline().strip()


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/order":
            print("an order came in", ask_cache("RPUSH", "orders", "fish"))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{os.uname().nodename} {os.environ['SHOP_TITLE']}".encode())

    def log_message(self, *_: object) -> None:
        return


def work() -> None:
    queue = os.environ["QUEUE"]
    print("packing what comes into", queue)
    while True:
        try:
            if ask_cache("LPOP", queue) != "$-1":
                print("packed an order")
        except OSError as error:
            print("the cache does not answer:", error)
        time.sleep(0.2)


if sys.argv[1] == "web":
    print("the shop is open")
    http.server.ThreadingHTTPServer(("", 8000), Page).serve_forever()
elif sys.argv[1] == "check":
    urllib.request.urlopen("http://127.0.0.1:8000/", timeout=4)
else:
    work()
