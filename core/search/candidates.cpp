// The second half of a worker: bounds the rows of candidate windows one by one, and scores those whose bounds suffice.
#include <algorithm>
#include <cassert>

#include "bits.h"
#include "worker.h"

namespace hornbook {

void Worker::search_candidates(const BlockView& block, Query& query) {
    if (!candidates_) return;
    bound_rows(block);
    score_candidates(block, query);
}

// Adds up the upper bound of each row of the candidate windows, as for windows. Invariant: no row weighs more than its
// bound.
void Worker::bound_rows(const BlockView& block) {
    list_candidate_windows();
    const size_t words = (candidate_windows_.size() + word_windows - 1) / word_windows, groups = groups_of(words);
    row_bits_.assign(present_.size() * groups * group_strips, 0);
    quantised_terms_.clear();
    for (PresentTerm& term : present_) {
        term.row_bits = row_bits_.data() + quantised_terms_.size() * groups * group_strips;
        quantised_terms_.push_back({term.row_bits, static_cast<uint8_t>(quantise_up(scaled_weight(term)))});
    }
    gather_dense(block);
    gather_sparse(block);
    row_upper_bounds_.resize(groups * group_strips * strip_windows);
    kernels().sum(row_upper_bounds_.data(), groups, group_strips, quantised_terms_.data(), quantised_terms_.size());
    gather_repeats(block);
    select_candidate_rows(block);
}

// Invariant: the windows rise; the i-th has slot i.
void Worker::list_candidate_windows() {
    candidate_windows_.resize(candidates_ + list_room);
    uint16_t* end = candidate_windows_.data();
    for (const uint32_t s : candidate_strips_) end = list_ones(candidate_bits_[s], s * strip_windows, end);
    assert(end == candidate_windows_.data() + candidates_);
    candidate_windows_.resize(candidates_);
}

// Copies the rows of the dense terms: a window's rank in the bitmap says which entry is its own. Invariant: the entry is
// one of the list's, even where ranks from the file are wrong.
void Worker::gather_dense(const BlockView& block) {
    bit_of_window_.resize(candidates_);
    for (size_t i = 0; i < bit_of_window_.size(); ++i) {
        const size_t window = candidate_windows_[i];
        bit_of_window_[i] =
            static_cast<uint32_t>(word_of_strip(window / strip_windows) * strip_windows + window % strip_windows);
    }
    for (const PresentTerm& term : present_) {
        if (!term.list.dense) continue;
        const uint64_t* const words = block.bitmap(term.list);
        const uint32_t* const end = choose(words, bit_of_window_.data(), candidates_);
        const uint8_t* const rows = block.dense_rows + term.list.start;
        const uint32_t last = term.list.size - 1;
        uint8_t* const to = term.window_rows_held();
        for (const uint32_t* slot = chosen_.data(); slot < end; ++slot) {
            const size_t bit = bit_of_window_[*slot];
            const uint32_t rank = rank_before(words, candidate_windows_[*slot] / strip_windows) +
                                  count_ones(words[bit / strip_windows] & low_bits(bit % strip_windows));
            to[*slot] = rows[std::min(rank, last)];
        }
    }
}

// Copies the rows of the sparse terms. Invariant: only those of candidate windows.
void Worker::gather_sparse(const BlockView& block) {
    for (const PresentTerm& term : present_) {
        if (term.list.dense) continue;
        const uint16_t* const windows = block.sparse_windows + term.list.start;
        const uint8_t* const rows = block.sparse_rows + term.list.start;
        const uint32_t* const end = choose(candidate_bits_.data(), windows, term.list.size);
        for (const uint32_t* entry = chosen_.data(); entry < end; ++entry)
            term.window_rows_held()[slot_of(windows[*entry])] = rows[*entry];
    }
}

// Lists the repeats in candidate windows by term, and adds to the bounds of their rows.
void Worker::gather_repeats(const BlockView& block) {
    repeats_.clear();
    for (const PresentTerm& term : present_) {
        const uint16_t* const windows = block.repeat_windows.data() + term.list.extra_start;
        const uint32_t* const end = choose(candidate_bits_.data(), windows, term.list.repeats);
        for (const uint32_t* entry = chosen_.data(); entry < end; ++entry) {
            const uint32_t i = term.list.extra_start + *entry, j = term.list.repeat_start + *entry;
            const uint32_t row = slot_of(windows[*entry]) * window_rows + block.repeat_rows[j] % window_rows;
            add_saturating(row_upper_bounds_[row], quantise_up(scaled_weight(term) * block.extra[i]));
            repeats_.push_back({&term, row, block.repeat_counts[j]});
        }
    }
}

// Selects the rows whose bounds suffice. A word's windows may lie in several strips: the first of them requires least.
// Invariant: a candidate row is a row of the block.
void Worker::select_candidate_rows(const BlockView& block) {
    word_required_bound_.clear();
    for (size_t i = 0; i < candidate_windows_.size(); i += word_windows)
        word_required_bound_.push_back(required_bound_[candidate_windows_[i] / strip_windows]);
    const size_t words = word_required_bound_.size();
    candidate_row_bits_.resize(words);
    candidate_words_.resize(words + simd_room);
    candidate_words_.resize(kernels().select(row_upper_bounds_.data(), word_required_bound_.data(), words,
                                       candidate_row_bits_.data(), candidate_words_.data()));
    const size_t last = candidates_ - 1, rows_of_last = block.rows - candidate_windows_[last] * window_rows;
    assert(candidate_windows_[last] * window_rows < block.rows);
    if (rows_of_last < window_rows)
        candidate_row_bits_[words - 1] &= low_bits(last % word_windows * window_rows + rows_of_last);
}

// Lists those of some entries whose bits are set, without a branch per entry; returns where they end.
template <class Place>
const uint32_t* Worker::choose(const uint64_t* words, const Place* places, uint32_t size) {
    if (chosen_.size() < size_t{size} + 1) chosen_.resize(size_t{size} + 1);
    uint32_t* end = chosen_.data();
    for (uint32_t i = 0; i < size; ++i) {
        *end = i;
        end += words[places[i] / strip_windows] >> places[i] % strip_windows & 1;
    }
    return end;
}

// The slot of a candidate window: the number of candidates before it.
uint32_t Worker::slot_of(uint32_t window) const {
    const size_t s = window / strip_windows;
    const uint32_t slot = candidates_before_[s] + count_ones(candidate_bits_[s] & low_bits(window % strip_windows));
    assert(slot < candidates_ && candidate_windows_[slot] == window);
    return slot;
}

// Scores the candidate rows exactly and offers what passes the threshold. Term at a time into accumulators, in the order
// of the reference: so equal units have equal scores to the last bit.
void Worker::score_candidates(const BlockView& block, Query& query) {
    list_candidate_rows(block);
    const size_t rows = candidate_rows_.size();
    divisors_.resize(rows + simd_room);
    for (size_t i = 0; i < rows; ++i) {
        __builtin_prefetch(block.units + candidate_rows_[i]);
        divisors_[i] = block.divisor[block.length_of[candidate_rows_[i]]];
    }
    scores_.assign(rows + simd_room, 0.0);
    const RepeatedRow* repeat = repeats_.data();
    for (const PresentTerm& term : present_) repeat = add_scores(block, term, repeat);
    assert(repeat == repeats_.data() + repeats_.size());
    found_.resize(rows);
    Hit* end = found_.data();
    for (size_t i = 0; i < rows; ++i) {
        *end = {scores_[i], block.units[candidate_rows_[i]]};
        end += scores_[i] > query.threshold;
    }
    found_.resize(static_cast<size_t>(end - found_.data()));
    query.insert(found_);
}

// Invariant: rows rise, and all are rows of the block.
void Worker::list_candidate_rows(const BlockView& block) {
    candidate_rows_.resize(candidate_windows_.size() * window_rows + list_room);
    first_in_word_.resize(candidate_row_bits_.size());
    uint32_t* end = candidate_rows_.data();
    for (const uint32_t word : candidate_words_) {
        first_in_word_[word] = static_cast<uint32_t>(end - candidate_rows_.data());
        end = list_ones(candidate_row_bits_[word], word * strip_windows, end);
    }
    candidate_rows_.resize(static_cast<size_t>(end - candidate_rows_.data()));
    for (uint32_t& row : candidate_rows_)
        row = candidate_windows_[row / window_rows] * static_cast<uint32_t>(window_rows) + row % window_rows;
    assert(candidate_rows_.empty() || candidate_rows_.back() < block.rows);
    static_cast<void>(block);
}

// Adds a term's scores. Its repeats start at `repeat`; returns where those of the next term start.
const Worker::RepeatedRow* Worker::add_scores(const BlockView& block, const PresentTerm& present,
                                              const RepeatedRow* repeat) {
    const QueryTerm& term = terms_[present.term];
    for (const RepeatedRow* const end = repeats_.data() + repeats_.size(); repeat < end && repeat->term == &present;
         ++repeat) {
        const uint32_t word = repeat->row / strip_windows;
        const uint64_t bit = uint64_t{1} << repeat->row % strip_windows;
        if (!(candidate_row_bits_[word] & bit)) continue;
        const size_t row = first_in_word_[word] + count_ones(candidate_row_bits_[word] & (bit - 1));
        const double s = block.saturation[block.length_of[candidate_rows_[row]]], tf = repeat->count;
        scores_[row] += term.count * (idf_[term.index] * tf / (tf + s));
        present.row_bits[word] &= ~bit;  // not once more below
    }
    kernels().score(scores_.data(), divisors_.data(), present.row_bits, candidate_row_bits_.data(),
               candidate_row_bits_.size(), idf_[term.index], term.count);
    return repeat;
}

}  // namespace hornbook
