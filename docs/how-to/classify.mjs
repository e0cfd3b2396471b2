// Classify texts with an export of hornbook, in Node or in a browser.

/**
 * Load an export.
 * @param library the module `@huggingface/transformers`
 * @param folder the export
 * @param options of the model, such as {dtype: "q8"} for its int8 graph
 * @returns a function of a text and, for tasks of pairs, a second text: a promise of the labels with their
 *     probabilities (of a regression: its scores), in the model's order
 */
export async function loadClassifier(library, folder, options = {}) {
  const tokenizer = await library.AutoTokenizer.from_pretrained(folder);
  const model = await library.AutoModelForSequenceClassification.from_pretrained(folder, { dtype: "fp32", ...options });
  const { id2label, problem_type } = model.config;
  return async (text, second = null) => {
    const inputs = encode(library.Tensor, tokenizer, text, second);
    const { logits } = await model(inputs);
    const values = toProbabilities(Array.from(logits.data), problem_type);
    return values.map((probability, i) => ({ label: id2label[i], probability }));
  };
}

// The tokenizer of transformers.js would cut at the end of the whole input: the last separator and the second text.
function encode(Tensor, tokenizer, text, second) {
  const whole = tokenizer(text, { text_pair: second, return_tensor: false, return_token_type_ids: true });
  const [first, other] = [text, second ?? ""].map((one) => tokenizer.encode(one, { add_special_tokens: false }).length);
  const length = whole.input_ids.length;
  const special = length - first - other;
  const [keepFirst, keepOther] = keep(first, other, tokenizer.model_max_length - special);
  // One special token is at the beginning and one at the end; the others are between the texts.
  const kept = (at) => at <= keepFirst || (at > first && at < length - 1 - other + keepOther) || at === length - 1;
  return Object.fromEntries(
    Object.entries(whole).map(([name, ids]) => {
      const cut = ids.filter((_, at) => kept(at));
      return [name, new Tensor("int64", BigInt64Array.from(cut, BigInt), [1, cut.length])];
    }),
  );
}

// How many tokens of two texts are kept where `room` is for both: the longer text loses first.
function keep(first, other, room) {
  if (first + other <= room) return [first, other];
  const shorter = Math.min(first, other, Math.floor(room / 2));
  return first <= other ? [shorter, room - shorter] : [room - shorter, shorter];
}

function toProbabilities(logits, problemType) {
  if (problemType === "regression") return logits;
  if (problemType === "multi_label_classification") return logits.map((one) => 1 / (1 + Math.exp(-one)));
  const most = Math.max(...logits);
  const shares = logits.map((one) => Math.exp(one - most));
  const sum = shares.reduce((a, b) => a + b);
  return shares.map((one) => one / sum);
}
