"""A fake `vllm serve`; values of `--quantization` and words in a prompt make it misbehave."""

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from vllm import LLM

assert sys.argv[1] == "serve"
OPTIONS = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[3:] if "=" in word)
FLAGS = [word for word in sys.argv[3:] if "=" not in word]


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        answers = {
            "/health": {},
            "/version": {"version": "0.0"},
            "/v1/models": {"data": [{"id": OPTIONS["served-model-name"], "owned_by": "vllm", "root": sys.argv[2]}]},
        }
        self.reply(answers[self.path])

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["messages"][-1]["content"]
        if "SIGSEGV" in asked:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "SLOW" in asked or "SIGSEGV" in asked:  # the signal may reach another thread first
            time.sleep(3600)
        choice = {"message": {"content": f"{asked} {' '.join(FLAGS)}"}, "token_ids": [1], "finish_reason": "stop"}
        self.reply({"choices": [choice]})

    def reply(self, body):
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main():
    LLM(sys.argv[2], quantization=OPTIONS.get("quantization"))
    sys.stdout.write("Model loading took 1.50 GiB memory and 2.0 seconds\nGPU KV cache size: 11,520 tokens\n")
    sys.stdout.write("Graph capturing finished in 2 secs, took 0.50 GiB\n")
    sys.stdout.write(
        "Actual usage is 2.00 GiB for consumed memory (weights + non-torch), 0.75 GiB for peak activation\n"
    )
    sys.stdout.flush()
    subprocess.Popen(["sleep", "3600"])  # the engine's core, which must go too
    ThreadingHTTPServer((OPTIONS["host"], int(OPTIONS["port"])), Server).serve_forever()
