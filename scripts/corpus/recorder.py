"""Files of a browser's MediaRecorder: no index, clusters and a segment of unknown size, times of real clocks."""

import http.server
import pathlib
import queue
import subprocess
import tempfile
import threading
import urllib.parse

from .truth import Broken

PAGE = pathlib.Path(__file__).with_name("recorder.html")
BROWSER = (
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE = 60


def recorded(mime_type):
    """A maker with the browser's encoder and writer."""

    def run(path):
        recordings = queue.Queue()

        class Server(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(PAGE.read_bytes())

            def do_POST(self):
                recordings.put(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server, tempfile.TemporaryDirectory() as profile:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            page = f"http://127.0.0.1:{server.server_port}/?type={urllib.parse.quote(mime_type)}"
            browser = subprocess.Popen([*BROWSER, f"--user-data-dir={profile}/browser", page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                path.write_bytes(recordings.get(timeout=PATIENCE))
            except queue.Empty:
                raise Broken(f"chromium has recorded nothing as {mime_type} in {PATIENCE} s") from None
            finally:
                browser.kill()
                browser.wait()
                server.shutdown()

    return run
