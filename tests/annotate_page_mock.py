"""A stand-in for the server of `boxprompt annotate`, to test the page against conditions that the real one does not
offer on request: masks of a known shape, slow embeddings, conflicts. Standard library only; pictures are sent unscaled.

    annotate_page_mock.py FOLDER [--port N] [--boxes-only] [--slow SECONDS]
"""

import argparse
import json
import math
import pathlib
import queue
import re
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = pathlib.Path(__file__).resolve().parent.parent / "apps/annotate/page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".png": "image/png", ".jpg": "image/jpeg"}
POLICY = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'"


def dimensions(path):
    data = path.read_bytes()
    if data[:4] == b"\x89PNG":
        return struct.unpack(">II", data[16:24])
    at = 2
    while at < len(data):
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2:at + 4])[0]
        if 0xC0 <= marker <= 0xC3:
            height, width = struct.unpack(">HH", data[at + 5:at + 9])
            return width, height
        at += 2 + length
    raise ValueError(f"{path}: no frame")


def ellipse(width, height, box, points, shrink):
    """Run lengths, column by column, of an ellipse in the box; negative points bite discs out of it, positive ones add some."""
    x0, y0, x1, y1 = box
    shapes = [((x0 + x1) / 2, (y0 + y1) / 2, max(1, (x1 - x0) / 2 * shrink), max(1, (y1 - y0) / 2 * shrink), 1)]
    radius = max(2, 0.22 * min(x1 - x0, y1 - y0))
    shapes += [(p["x"], p["y"], radius, radius, int(p["positive"])) for p in points]
    pixels = bytearray(width * height)
    for cx, cy, rx, ry, value in shapes:
        for x in range(max(0, math.ceil(cx - rx)), min(width, math.floor(cx + rx) + 1)):
            half = ry * math.sqrt(max(0, 1 - ((x - cx) / rx) ** 2))
            top, bottom = max(0, math.ceil(cy - half)), min(height, math.floor(cy + half) + 1)
            if bottom > top:
                pixels[x * height + top:x * height + bottom] = bytes([value]) * (bottom - top)
    counts = [] if pixels[0] == 0 else [0]
    counts += [len(run) for run in re.findall(rb"\x00+|\x01+", bytes(pixels))]
    return {"size": [height, width], "counts": counts}


class Project:
    def __init__(self, folder, teacher, slow):
        self.folder, self.teacher, self.slow = folder, teacher, slow
        self.lock = threading.Lock()
        self.listeners = []
        self.asked = {}
        self.down = False  # every request gets 503 (what /test/down sets)
        self.paths = sorted(p for p in folder.iterdir() if p.suffix in (".png", ".jpg"))
        self.images = []
        for i, path in enumerate(self.paths):
            width, height = dimensions(path)
            self.images.append({"id": i, "name": path.name, "width": width, "height": height, "version": 0,
                                "authentic": False, "seconds": 0, "boxes": []})

    def summary(self):
        images = []
        for image in self.images:
            state = "authentic" if image["authentic"] else "boxed" if image["boxes"] else "open"
            images.append({**{k: image[k] for k in ("id", "name", "width", "height", "seconds")}, "state": state, "boxes": len(image["boxes"])})
        done = sum(image["state"] != "open" for image in images)
        return {"folder": str(self.folder), "teacher": "sam_vit_b" if self.teacher else None, "images": images, "done": done,
                "seconds": sum(image["seconds"] for image in images)}

    def save(self, i, annotation):
        with self.lock:
            image = self.images[i]
            if annotation["version"] != image["version"]:
                return 409, image
            boxes = [{**box, **self.mask_of(image, box)} for box in annotation["boxes"]]
            image.update(version=image["version"] + 1, authentic=annotation["authentic"], seconds=annotation["seconds"], boxes=boxes)
            for listener in self.listeners:
                listener.put({"image": i, "version": image["version"]})
            return 200, {"version": image["version"]}

    def mask_of(self, image, box):
        if self.embedding(image["id"]) != "ready":
            return {"mask": None, "iou": None}
        return self.choice(image, box, 0 if box.get("choice") is None else box["choice"] + 1)

    def choices(self, image, prompt):
        return [self.choice(image, prompt, i) for i in range(4)]

    @staticmethod
    def choice(image, prompt, i):
        iou, shrink = ((0.93, 0.88), (0.88, 0.7), (0.91, 1.0), (0.74, 0.5))[i]
        mask = ellipse(image["width"], image["height"], prompt["box"], prompt["points"], shrink)
        return {"iou": round(iou - 0.01 * len(prompt["points"]), 3), "mask": mask}

    def embedding(self, i):
        if not self.teacher:
            return "none"
        first = self.asked.setdefault(i, time.monotonic())
        return "ready" if time.monotonic() - first >= self.slow else "working"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def send_file(self, path):
        self.send(200, path.read_bytes(), TYPES[path.suffix])

    def events(self):
        listener = queue.Queue()
        self.server.project.listeners.append(listener)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                try:
                    text = f"data: {json.dumps(listener.get(timeout=1))}\n\n"
                except queue.Empty:
                    text = ": still here\n\n"
                if self.server.project.down:
                    return
                self.wfile.write(text.encode())
        except OSError:
            pass
        finally:
            self.server.project.listeners.remove(listener)

    def answer(self, method):
        project = self.server.project
        path = self.path.split("?")[0]
        sent = self.body() if method != "GET" else None
        if path == "/test/down":
            project.down = sent["down"]
            return self.send(200, {})
        if project.down:
            return self.send(503, {"error": "down for the test"})
        if path == "/api/project":
            return self.send(200, project.summary())
        if path == "/api/events":
            return self.events()
        found = re.fullmatch(r"/api/images/(\d+)(?:/(\w+))?", path)
        if found and int(found[1]) < len(project.images):
            return self.answer_image(method, int(found[1]), found[2], sent)
        file = PAGE / (path.lstrip("/") or "index.html")
        if file.parent == PAGE and file.is_file():
            return self.send_file(file)
        return self.send(404, {"error": "no such thing"})

    def answer_image(self, method, i, what, sent):
        project = self.server.project
        if what in ("picture", "thumbnail"):
            return self.send_file(project.paths[i])
        if what == "embedding":
            return self.send(200, {"state": project.embedding(i)})
        if what == "mask":
            if project.embedding(i) != "ready":
                return self.send(202, {"state": project.embedding(i)})
            return self.send(200, {"choices": project.choices(project.images[i], sent), "milliseconds": 1})
        if method == "PUT":
            return self.send(*project.save(i, sent))
        return self.send(200, project.images[i])

    def do_GET(self):
        self.answer("GET")

    def do_PUT(self):
        self.answer("PUT")

    def do_POST(self):
        self.answer("POST")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # browsers drop connections as they like


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--boxes-only", action="store_true")
    parser.add_argument("--slow", type=float, default=0)
    options = parser.parse_args()
    server = Server(("127.0.0.1", options.port), Handler)
    server.project = Project(options.folder, not options.boxes_only, options.slow)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
