"""PyTorch on the same card with the same tokens: the best of its ways to embed, in tokens a second (padding not counted).

torch_embed.py MODEL TOKENS TEXTS [OUT]: the model's folder, a line of token numbers a text (`gpu --tokens` writes it), the
texts as JSON lines. Half precision, texts sorted by length and padded to the longest of their batch, scaled dot product
attention; as it is and through torch.compile, over several sizes of batch. Also sentence-transformers from text.
"""

import json
import statistics
import sys
import time

import torch
from transformers import AutoConfig, AutoModel

MANY = 8
RUNS = 5
DEVICE = "cuda"


def batches(lines, budget, step):
    """Token numbers and masks, padded to a multiple of `step`; at most `budget` numbers with padding."""
    order = sorted(range(len(lines)), key=lambda at: -len(lines[at]))
    found, at = [], 0
    while at < len(order):
        width = -(-len(lines[order[at]]) // step) * step
        count = max(1, budget // width)
        rows = [lines[n] for n in order[at : at + count]]
        ids = torch.zeros((len(rows), width), dtype=torch.int64)
        mask = torch.zeros((len(rows), width), dtype=torch.int64)
        for n, row in enumerate(rows):
            ids[n, : len(row)] = torch.tensor(row)
            mask[n, : len(row)] = 1
        found.append((ids.pin_memory(), mask.pin_memory()))
        at += count
    return found


def pooled(model, ids, mask):
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
    weights = mask.unsqueeze(-1).float()
    mean = (states * weights).sum(1) / weights.sum(1)
    return torch.nn.functional.normalize(mean, dim=1)


def rate(run, work, tokens):
    def once():
        torch.cuda.synchronize()
        start = time.perf_counter()
        outs = [run(ids.to(DEVICE, non_blocking=True), mask.to(DEVICE, non_blocking=True)) for ids, mask in work]
        outs = [out.to("cpu", non_blocking=True) for out in outs]
        torch.cuda.synchronize()
        return tokens / (time.perf_counter() - start)

    once()
    return statistics.median(once() for _ in range(RUNS))


def main():
    folder, tokens_path, texts_path = sys.argv[1:4]
    lines = [[int(word) for word in line.split()] for line in open(tokens_path, encoding="utf-8")] * MANY
    tokens = sum(map(len, lines))
    found = {"torch": torch.__version__, "card": torch.cuda.get_device_name(0), "ways": {}}
    torch.backends.cuda.matmul.allow_tf32 = True
    for name, kind in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        config = AutoConfig.from_pretrained(folder)
        config._attn_implementation = "sdpa"
        model = AutoModel.from_pretrained(folder, config=config, dtype=kind).to(DEVICE).eval()
        with torch.inference_mode():
            for budget in (16_384, 65_536, 262_144):
                work = batches(lines, budget, 16)
                found["ways"][f"{name} eager {budget}"] = rate(lambda i, m: pooled(model, i, m), work, tokens)
                print(name, "eager", budget, f"{found['ways'][f'{name} eager {budget}'] / 1e6:.2f} M tokens/s", flush=True)
            if kind == torch.float16:
                best = max((65_536, 262_144), key=lambda budget: found["ways"][f"{name} eager {budget}"])
                compiled = torch.compile(lambda i, m: pooled(model, i, m), dynamic=True)
                key = f"{name} compiled {best}"
                try:
                    found["ways"][key] = rate(compiled, batches(lines, best, 16), tokens)
                    print(key, f"{found['ways'][key] / 1e6:.2f} M tokens/s", flush=True)
                except Exception as error:  # noqa: BLE001 - a peer that fails is reported, not hidden
                    found["ways"][key] = None
                    print(key, "failed:", str(error)[:300], flush=True)
    try:
        from sentence_transformers import SentenceTransformer

        texts = []
        for line in open(texts_path, encoding="utf-8"):
            value = json.loads(line)
            texts.append(f"{value.get('title', '')} {value.get('text', '')}")
        model = SentenceTransformer(folder, device=DEVICE, model_kwargs={"dtype": torch.float16})
        model.encode(texts[:512], batch_size=256)
        start = time.perf_counter()
        model.encode(texts, batch_size=256, normalize_embeddings=True)
        found["sentence_transformers_from_text"] = tokens / MANY / (time.perf_counter() - start)
        print("sentence-transformers from text", f"{found['sentence_transformers_from_text'] / 1e6:.2f} M tokens/s", flush=True)
        took = []
        for text in texts[:200]:
            start = time.perf_counter()
            model.encode(" ".join(text.split()[:12]), normalize_embeddings=True)
            took.append((time.perf_counter() - start) * 1e3)
        found["sentence_transformers_question_p50_ms"] = statistics.median(took)
    except Exception as error:  # noqa: BLE001
        print("sentence-transformers failed:", str(error)[:300], flush=True)
    if len(sys.argv) > 4:
        json.dump(found, open(sys.argv[4], "w", encoding="utf-8"), indent=1)


main()
