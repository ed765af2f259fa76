"""As much of a W&B server as `wandb sync` and a report need, on this machine."""

import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Stub:
    """What the server has been told.

    Attributes:
        history: Run id -> the lines of its history, in the order of their arrival.
        refuses: "metrics", "files" or "viewer".
        asked: (operation, variables) of GraphQL.
    """

    def __init__(self, url: str):
        self.url = url
        self.history: dict[str, list[dict]] = {}
        self.refuses: set[str] = set()
        self.asked: list[tuple[str, dict]] = []

    def answer(self, query: str, variables: dict) -> dict:
        operation = query.split("(")[0].split("{")[0].split()[-1]
        self.asked.append((operation, variables))
        if operation == "UpsertBucket":
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "lab"}}
            bucket = {"id": "b", "name": variables["name"], "displayName": "", "config": "{}", "project": project}
            return {"upsertBucket": {"bucket": bucket | {"historyLineCount": 0}, "inserted": True}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/put/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        if operation == "RunResumeStatus":
            return {"model": {"bucket": None}}
        if operation == "upsertView":
            project = {"id": "p", "name": variables["projectName"], "entityName": variables["entityName"]}
            view = {"id": "VmlldzoxMjM=", "type": "runs", "name": variables["name"], "project": project}
            said = {"displayName": variables["displayName"], "description": variables["description"]}
            return {"upsertView": {"view": view | said | {"spec": variables["spec"]}, "inserted": True}}
        if operation == "GetProjects":
            project = {
                "__typename": "Project",
                "id": "p",
                "name": "invented",
                "entityName": "lab",
                "isBenchmark": False,
            }
            page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
            return {
                "models": {
                    "pageInfo": page,
                    "edges": [{"node": project | {"createdAt": "2026-01-01T00:00:00", "user": None}}],
                }
            }
        if "viewer" in query and "viewer" not in self.refuses:
            return {
                "viewer": {"id": "u", "entity": "lab", "username": "someone", "flags": "{}", "teams": {"edges": []}}
            }
        return {}


@contextmanager
def serving():
    """A Stub behind an address of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format, *args):
            pass

        def reply(self, status: int, content: dict) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def body(self) -> bytes:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

        def do_PUT(self):
            self.body()
            self.reply(500 if "files" in stub.refuses else 200, {})

        def do_GET(self):
            self.reply(200, {})

        def do_POST(self):
            body = self.body()
            if self.path == "/graphql":
                asked = json.loads(body)
                return self.reply(200, {"data": stub.answer(asked["query"], asked.get("variables") or {})})
            if self.path.endswith("/file_stream"):
                if "metrics" in stub.refuses:
                    return self.reply(500, {})
                lines = json.loads(body).get("files", {}).get("wandb-history.jsonl", {}).get("content", [])
                stub.history.setdefault(self.path.split("/")[-2], []).extend(json.loads(line) for line in lines)
            return self.reply(200, {})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda request, client_address: None  # of a client that has gone
    stub = Stub(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
