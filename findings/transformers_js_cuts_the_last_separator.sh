#!/usr/bin/env bash
# transformers.js truncates by slicing: the special token at the end goes, and of a long pair the whole second text.
#
# Package: @huggingface/transformers 4.3.2 (npm), on Node.
# A good guess: truncation does what it does in Python: special tokens stay, and of a pair the longer text loses first.
# Seen: a text of 20 words at 8 tokens is [CLS] and seven words, without [SEP]; a pair of 20 words and one word keeps
# nothing of the second text. An empty second text is dropped with its separator. RobertaProcessing gives second texts the
# segment 1, where tokenizers gives 0. The text-classification pipeline truncates so, and scores the empty text for a pair.
set -euo pipefail
command -v npm >/dev/null || { echo "no npm here"; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --silent @huggingface/transformers@4.3.2 >/dev/null
cat >"$folder/see.mjs" <<'JS'
import assert from "node:assert";
import { PreTrainedTokenizer } from "@huggingface/transformers";

const words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad"];
const read = (post_processor) =>
  new PreTrainedTokenizer(
    {
      version: "1.0",
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: "Whitespace" },
      decoder: null,
      post_processor,
      model: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 100,
        vocab: Object.fromEntries(words.map((word, i) => [word, i])) },
    },
    { model_max_length: 8, pad_token: "[PAD]", unk_token: "[UNK]" },
  );
const long = "good ".repeat(20);
const options = { truncation: true, return_tensor: false, return_token_type_ids: true };
const bert = read({ type: "BertProcessing", sep: ["[SEP]", 3], cls: ["[CLS]", 2] });
const shown = (name, { input_ids, token_type_ids }) => console.log(name, input_ids.map((id) => words[id]).join(" "), token_type_ids.join(""));
const single = bert(long, options);
shown("20 words:", single);
assert.deepEqual(single.input_ids, [2, 4, 4, 4, 4, 4, 4, 4]);
const pair = bert(long, { text_pair: "bad", ...options });
shown("20 words and one:", pair);
assert(!pair.input_ids.includes(5));
const empty = bert("good", { text_pair: "", ...options });
shown("a word and an empty text:", empty);
assert.deepEqual(empty.input_ids, [2, 4, 3]);
const roberta = read({ type: "RobertaProcessing", sep: ["[SEP]", 3], cls: ["[CLS]", 2], trim_offsets: true, add_prefix_space: false });
const segments = roberta("good", { text_pair: "bad", ...options });
shown("RobertaProcessing:", segments);
assert.deepEqual(segments.token_type_ids, [0, 0, 0, 1, 1, 1]);
console.log("as recorded");
JS
(cd "$folder" && node see.mjs)
