"""Answers a text, or a pair, with the network beside it: python predict.py "some text"."""

import json
import sys
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
RECORD = json.loads((HERE / "deployment.json").read_text())
TOKENIZER = Tokenizer.from_file(str(HERE / "tokenizer.json"))
TOKENIZER.no_padding()
TOKENIZER.enable_truncation(RECORD["max_length"])
torch.set_num_threads(RECORD["threads"])
AUTO_MODEL = getattr(transformers, RECORD["auto_class"])
if RECORD["precision"] == "int8":
    from int8 import load_int8

    MODEL = load_int8(HERE, AUTO_MODEL, trust_remote_code=True)
else:
    MODEL = AUTO_MODEL.from_pretrained(
        HERE, trust_remote_code=True, use_safetensors=True, dtype="auto"
    ).eval()
if RECORD["runtime"] == "compile":
    MODEL = torch.compile(MODEL, dynamic=False)


def predict(text, second=None):
    """The label and its probability, or the score."""
    found = TOKENIZER.encode(text, second)
    given = {"input_ids": found.ids, "attention_mask": found.attention_mask}
    given["token_type_ids"] = found.type_ids if RECORD["has_types"] else [0] * len(found.ids)
    inputs = {name: torch.tensor([given[name]]) for name in RECORD["input_names"]}
    with torch.inference_mode():
        logits = MODEL(**inputs).logits[0].float()
    if RECORD["answer"] == "score":
        return float(logits[0])
    shares = logits.softmax(0)
    best = int(shares.argmax())
    return RECORD["labels"][best], float(shares[best])


if __name__ == "__main__":
    print(predict(*sys.argv[1:3]))
