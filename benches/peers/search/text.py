"""Full text by a peer, one thread: text.py NAME FILE, where FILE holds passages and questions. Prints questions a second;
reading a question's words is part of the time, as it is of ours."""
import json
import sys
import time

name, path = sys.argv[1], sys.argv[2]
with open(path) as file:
    given = json.load(file)
passages, questions, k = given["passages"], given["questions"], given["k"]


def bm25s():
    import bm25s
    import Stemmer
    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index(bm25s.tokenize(passages, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)

    def ask():
        for question in questions:
            words = bm25s.tokenize([question], stopwords="en", stemmer=stemmer, show_progress=False)
            index.retrieve(words, k=k, show_progress=False, n_threads=0)
    return ask


def tantivy():
    import re
    import tantivy
    schema = tantivy.SchemaBuilder()
    schema.add_text_field("body", stored=False, tokenizer_name="en_stem")
    schema.add_integer_field("id", stored=True, fast=True)
    index = tantivy.Index(schema.build())
    writer = index.writer(256 << 20, 1)
    for number, passage in enumerate(passages):
        writer.add_document(tantivy.Document(id=number, body=passage))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def ask():
        for question in questions:
            words = " ".join(re.findall(r"\w+", question)).lower()
            query = index.parse_query(words, ["body"])
            for _, address in searcher.search(query, k).hits:
                searcher.doc(address)["id"]
    return ask


ask = {"bm25s": bm25s, "tantivy": tantivy}[name]()
ask()
begun = time.perf_counter()
ask()
print(json.dumps({"rate": len(questions) / (time.perf_counter() - begun)}))
