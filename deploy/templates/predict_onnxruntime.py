"""Answers a text, or a pair, with the network beside it: python predict.py "some text"."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
RECORD = json.loads((HERE / "deployment.json").read_text())
TOKENIZER = Tokenizer.from_file(str(HERE / "tokenizer.json"))
TOKENIZER.no_padding()
TOKENIZER.enable_truncation(RECORD["max_length"])
OPTIONS = onnxruntime.SessionOptions()
OPTIONS.intra_op_num_threads = RECORD["threads"]
SESSION = onnxruntime.InferenceSession(str(HERE / "model.onnx"), OPTIONS)


def predict(text, second=None):
    """The label and its probability, or the score."""
    found = TOKENIZER.encode(text, second)
    given = {"input_ids": found.ids, "attention_mask": found.attention_mask}
    given["token_type_ids"] = found.type_ids if RECORD["has_types"] else [0] * len(found.ids)
    names = [entry.name for entry in SESSION.get_inputs()]
    inputs = {name: np.array([given[name]], dtype=np.int64) for name in names}
    logits = SESSION.run(None, inputs)[0][0]
    if RECORD["answer"] == "score":
        return float(logits[0])
    shares = np.exp(logits - logits.max())
    best = int(shares.argmax())
    return RECORD["labels"][best], float(shares[best] / shares.sum())


if __name__ == "__main__":
    print(predict(*sys.argv[1:3]))
