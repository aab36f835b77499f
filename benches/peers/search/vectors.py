"""Nearest neighbours by a peer, one thread: vectors.py NAME FILE WIDTH ROWS QUESTIONS K. Prints, for growing effort, the
recall and the questions a second; a question at a time, as they come."""
import json
import os
import sys
import tempfile
import time

import numpy

name, path = sys.argv[1], sys.argv[2]
width, rows, asked, k = map(int, sys.argv[3:7])
everything = numpy.fromfile(path, dtype=numpy.float32).reshape(-1, width)
rows, questions = everything[:rows], everything[rows:rows + asked]
M, BUILD = 16, 128
EFFORTS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

truth = []
for start in range(0, len(questions), 100):
    scores = questions[start:start + 100] @ rows.T
    truth += [set(map(int, best)) for best in numpy.argpartition(-scores, k, axis=1)[:, :k]]


def usearch():
    from usearch.index import Index
    # Bytes are its quickest form at this recall; single precision is tried by hnswlib and faiss.
    index = Index(ndim=width, metric="cos", dtype="i8", connectivity=M, expansion_add=BUILD)
    index.add(numpy.arange(len(rows)), rows, threads=1)

    def effort(n):
        index.expansion_search = n
        return lambda row: index.search(row, k, threads=1).keys
    return effort


def hnswlib():
    import hnswlib
    index = hnswlib.Index(space="ip", dim=width)
    index.init_index(max_elements=len(rows), M=M, ef_construction=BUILD)
    index.set_num_threads(1)
    index.add_items(rows, numpy.arange(len(rows)))

    def effort(n):
        index.set_ef(max(n, k))
        return lambda row: index.knn_query(row, k=k)[0][0]
    return effort


def faiss():
    import faiss
    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(width, M, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD
    index.add(rows)

    def effort(n):
        index.hnsw.efSearch = n
        return lambda row: index.search(row[None, :], k)[1][0]
    return effort


def lancedb():
    import lancedb
    import pyarrow
    folder = tempfile.mkdtemp()
    vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.reshape(-1)), width)
    table = lancedb.connect(folder).create_table(
        "rows", pyarrow.table({"id": pyarrow.array(range(len(rows))), "vector": vectors}))
    table.create_index(metric="dot", index_type="IVF_HNSW_SQ", num_partitions=max(1, len(rows) // 100_000), m=M,
                       ef_construction=BUILD)

    def effort(n):
        def ask(row):
            query = table.search(row).distance_type("dot").limit(k).ef(max(n, 2 * k)).nprobes(4).refine_factor(2)
            return query.select(["id"]).to_arrow()["id"].to_pylist()
        return ask
    return effort


begun = time.perf_counter()
effort = {"usearch": usearch, "hnswlib": hnswlib, "faiss": faiss, "lancedb": lancedb}[name]()
built = time.perf_counter() - begun
points = []
for n in EFFORTS:
    ask = effort(n)
    some = questions[:200] if name == "lancedb" else questions
    [ask(row) for row in some[:20]]
    begun = time.perf_counter()
    found = [ask(row) for row in some]
    took = time.perf_counter() - begun
    recall = sum(len(best & set(map(int, answer))) for best, answer in zip(truth, found)) / (k * len(some))
    points.append({"effort": n, "recall": recall, "rate": len(some) / took})
    if recall >= 0.995:
        break
print(json.dumps({"build_s": built, "points": points}))
sys.stdout.flush()
os._exit(0)
