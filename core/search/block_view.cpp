#include "block_view.h"

#include <algorithm>
#include <cassert>
#include <stdexcept>

namespace hornbook {
namespace {

void check(bool consistent) {
    if (!consistent) throw std::invalid_argument("a damaged block: its sizes or offsets contradict each other");
}

// By how much tf / (tf + s) exceeds 1 / (1 + s), in units of 1 / (1 + s).
float extra_of(double s, double tf) { return static_cast<float>(s * (tf - 1) / (tf + s)); }

// Calls task(i, index) for each i at which the ascending ids hold a term of the queries.
template <class Task>
void for_each_shared(const In<uint32_t>& ids, const std::vector<ShardTerm>& shard_terms, Task task) {
    const uint32_t *const start = ids.data(), *const end = start + ids.size(), *at = start;
    for (const ShardTerm& term : shard_terms) {
        while (at < end && *at < term.id) ++at;
        if (at == end) break;
        if (*at == term.id) task(static_cast<size_t>(at - start), term.index);
    }
}

}  // namespace

void BlockView::open(const Block& block, const std::vector<ShardTerm>& shard_terms, size_t terms, const Bm25& bm25) {
    assert(std::is_sorted(shard_terms.begin(), shard_terms.end()));
    rows = block.units.size();
    strips = (rows + strip_rows - 1) / strip_rows;
    const size_t dense = block.dense_terms.size();
    check(rows && rows <= max_block_rows && block.sparse_rows.size() == block.sparse_windows.size() &&
          block.dense_ends.size() == dense && block.window_bits.size() == bitmap_words(strips) * dense &&
          block.repeat_ends.size() == block.repeat_terms.size() &&
          block.repeat_counts.size() == block.repeat_rows.size());
    const size_t windows = (rows - 1) / window_rows + 1, before_last = (strips - 1) * strip_windows;
    last_windows = ~uint64_t{0} >> (strip_windows - (windows - before_last));
    units = block.units.data();
    sparse_windows = block.sparse_windows.data();
    sparse_rows = block.sparse_rows.data();
    window_bits = block.window_bits.data();
    dense_rows = block.dense_rows.data();
    repeat_rows = block.repeat_rows.data();
    repeat_counts = block.repeat_counts.data();
    open_lengths(block, bm25);
    lists.assign(terms, {});
    open_sparse(block, shard_terms);
    open_dense(block, shard_terms);
    open_repeats(block, shard_terms);
}

// Invariant afterwards: every row has a length number, and lengths, hence divisors, rise with the rows.
void BlockView::open_lengths(const Block& block, const Bm25& bm25) {
    const size_t lengths = block.lengths.size();
    check(lengths && lengths <= UINT16_MAX && block.length_ends.size() == lengths &&
          block.length_ends(lengths - 1) == rows);
    length_of.resize(rows);
    saturation.clear();
    divisor.clear();
    extra_of_two_.clear();
    for (size_t g = 0, row = 0; g < lengths; ++g) {
        const size_t end = block.length_ends(g);
        check(end >= row && end <= rows && (!g || block.lengths(g - 1) < block.lengths(g)));
        saturation.push_back(bm25.saturation(block.lengths(g)));
        divisor.push_back(1 + saturation[g]);
        extra_of_two_.push_back(extra_of(saturation[g], 2));
        std::fill(length_of.begin() + static_cast<std::ptrdiff_t>(row),
                  length_of.begin() + static_cast<std::ptrdiff_t>(end), static_cast<uint16_t>(g));
        row = end;
    }
    strip_divisor.clear();
    for (size_t s = 0; s < strips; ++s) strip_divisor.push_back(static_cast<float>(divisor[length_of[s * strip_rows]]));
    assert(std::is_sorted(strip_divisor.begin(), strip_divisor.end()));
}

// Invariant afterwards: the entries of a list lie in the arrays. Their windows may be any: the search has room for all.
void BlockView::open_sparse(const Block& block, const std::vector<ShardTerm>& shard_terms) {
    const uint32_t* const ends = block.sparse_ends.data();
    for (const ShardTerm& term : shard_terms) {
        check(term.id < block.sparse_ends.size());
        const uint32_t start = term.id ? ends[term.id - 1] : 0, end = ends[term.id];
        if (start == end) continue;
        check(start < end && end <= block.sparse_windows.size());
        PostingList& list = lists[term.index];
        list.start = start;
        list.size = end - start;
    }
}

// Invariant afterwards: the entries of a list lie in the arrays. Its ranks may be any: the search cuts them to its size.
void BlockView::open_dense(const Block& block, const std::vector<ShardTerm>& shard_terms) {
    for_each_shared(block.dense_terms, shard_terms, [&](size_t i, uint32_t index) {
        const uint32_t start = i ? block.dense_ends(i - 1) : 0, end = block.dense_ends(i);
        check(start < end && end <= block.dense_rows.size());
        PostingList& list = lists[index];
        list.dense = true;
        list.number = static_cast<uint32_t>(i);
        list.start = start;
        list.size = end - start;
    });
}

// Invariant afterwards: the rows of all repeats are rows of the block, and each repeats its term at least twice.
void BlockView::open_repeats(const Block& block, const std::vector<ShardTerm>& shard_terms) {
    repeat_windows.clear();
    extra.clear();
    for_each_shared(block.repeat_terms, shard_terms, [&](size_t i, uint32_t index) {
        const uint32_t start = i ? block.repeat_ends(i - 1) : 0, end = block.repeat_ends(i);
        PostingList& list = lists[index];
        check(start < end && end <= block.repeat_rows.size() && list.size);
        list.repeat_start = start;
        list.repeats = end - start;
        list.extra_start = static_cast<uint32_t>(extra.size());
        repeat_windows.resize(extra.size() + list.repeats);
        extra.resize(extra.size() + list.repeats);
        uint16_t* const windows = repeat_windows.data() + list.extra_start;
        float* const extras = extra.data() + list.extra_start;
        for (uint32_t j = 0; j < list.repeats; ++j) {
            const uint32_t row = repeat_rows[start + j], count = repeat_counts[start + j];
            check(row < rows && count > 1);
            const uint16_t length = length_of[row];
            windows[j] = static_cast<uint16_t>(row / window_rows);
            extras[j] = count == 2 ? extra_of_two_[length] : extra_of(saturation[length], count);
            list.max_extra = std::max(list.max_extra, extras[j]);
        }
    });
}

void BlockView::prefetch(const PostingList& list) const {
    if (list.dense) {
        const uint64_t* const words = bitmap(list);
        for (size_t i = 0; i < strips && i < 64; i += 8) __builtin_prefetch(words + i);
    } else {
        const uint16_t* const windows = sparse_windows + list.start;
        for (size_t i = 0; i < list.size; i += 32) __builtin_prefetch(windows + i);
    }
    if (!list.repeats) return;
    __builtin_prefetch(repeat_windows.data() + list.extra_start);
    __builtin_prefetch(extra.data() + list.extra_start);
}

}  // namespace hornbook
