"""A receiver of notifications for trying things out: prints each one. `python examples/receiver.py [PORT]`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    """Takes every POST."""

    def do_POST(self) -> None:
        """Print the body, and acknowledge it."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        print(json.dumps(json.loads(body), ensure_ascii=False, indent=2), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Only notifications are printed."""


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    print(f"waiting for notifications on http://localhost:{port}/", flush=True)
    try:
        ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
    except KeyboardInterrupt:
        print()
