"""A leader and an agent of a few lines each, to be found in the place of the real ones."""

import os
from pathlib import Path

from flockpy.paths import package_root

LEADER = """
import http.server, json, os, pathlib, signal, sys, threading
data = pathlib.Path(os.environ["FLOCK_DATA_DIR"])
if (data / "refuse").exists():
    (data / "refused").touch(); sys.stderr.write("the leader refuses\\n"); sys.exit(3)
with (data / "leader.pids").open("a") as file: file.write(f"{os.getpid()}\\n")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404); self.end_headers()
    def do_POST(self):
        (data / "posted").write_bytes(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps({"operation": {"id": "op_1", "kind": "add", "target": "m", "state": "done"}}).encode()
        self.send_response(202); self.send_header("content-length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
(data / "admin.key").write_text("sk-orc-the-admin-key")
def stop(*_):
    with (data / "stops").open("a") as file: file.write("leader\\n")
    if not (data / "stubborn").exists(): os._exit(0)
signal.signal(signal.SIGTERM, stop)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
"""
AGENT = """
import os, pathlib, signal, sys
data = pathlib.Path(os.environ["FLOCK_DATA_DIR"])
def stop(*_):
    with (data / "stops").open("a") as file: file.write("agent\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
with (data / "agent.pids").open("a") as file: file.write(f"{os.getpid()} {' '.join(sys.argv[1:])}\\n")
sys.stdin.read()
"""


def environment(data: Path, port: int) -> dict[str, str]:
    """Where a parent finds the stand-ins, which keep notes in `data`."""
    stubs = data / "stubs"
    for name, code in (("controlplane", LEADER), ("agent", AGENT)):
        (stubs / name).mkdir(parents=True, exist_ok=True)
        (stubs / name / "__init__.py").touch()
        (stubs / name / "__main__.py").write_text(code)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{stubs}{os.pathsep}{package_root()}",
        "FLOCK_DATA_DIR": str(data),
        "PORT": str(port),
    }
