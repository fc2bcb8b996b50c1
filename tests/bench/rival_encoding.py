"""What sentence-transformers takes to encode texts. Run by an interpreter that has it (.venv-rivals), never by the
project's own; imports nothing of the project. `rival_encoding.py FOLDER MAX_TOKENS`, texts as a JSON list on stdin;
prints {"cpu": seconds of the processor, "clock": seconds}."""

import json
import sys
import time

from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cpu")
model.max_seq_length = int(sys.argv[2])
texts = json.load(sys.stdin)
model.encode(texts[:64])
cpu, clock = time.process_time(), time.perf_counter()
model.encode(texts, batch_size=32)  # its own default
print(json.dumps({"cpu": time.process_time() - cpu, "clock": time.perf_counter() - clock}))
