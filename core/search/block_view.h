// A block of a shard, prepared for the search: which postings the queries' terms have in it, and BM25 by length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../index_layout.h"
#include "../texts.h"

namespace hornbook {

// A block as stored: hornbook/index/layout.py describes the arrays. They may be mapped from a file, so nothing in them
// is trusted: an entry is used as an address only after a check, or where every value of its type is a valid one.
struct Block {
    In<int64_t> units;
    In<uint32_t> lengths, length_ends;
    In<uint32_t> sparse_ends;
    In<uint16_t> sparse_windows;
    In<uint8_t> sparse_rows;
    In<uint32_t> dense_terms, dense_ends;
    In<uint64_t> window_bits;
    In<uint8_t> dense_rows;
    In<uint32_t> repeat_terms, repeat_ends, repeat_rows, repeat_counts;
};

// The windows of a block that hold a term; `size` is 0 where none does. A sparse term lists them, a dense one has a
// bitmap. Rows that repeat the term are listed once more, as repeats.
struct PostingList {
    bool dense = false;
    uint32_t number = 0;  // of a dense term, which bitmap
    uint32_t start = 0;   // of its entries in sparse_rows or dense_rows
    uint32_t size = 0;    // windows
    uint32_t repeat_start = 0, repeats = 0;  // its entries in repeat_rows
    uint32_t extra_start = 0;                // and in the view's repeat_windows and extra
    float max_extra = 0;                     // the largest `extra` of its repeats
};

// A term of the queries that a shard has.
struct ShardTerm {
    uint32_t id;     // in the shard's dictionary
    uint32_t index;  // among the distinct terms of all queries
    bool operator<(const ShardTerm& other) const { return id < other.id; }
};

// The parameters of BM25 (Robertson and Zaragoza 2009, section 3.4) in Lucene's form, without the constant factor k1 + 1:
// a term scores idf * tf / (tf + s), s = k1 * (1 - b + b * length / mean length).
struct Bm25 {
    double k1, b, mean_length;
    double saturation(uint32_t length) const { return k1 * (1 - b + b * length / mean_length); }
};

class BlockView {
  public:
    // Prepares a block for queries with `terms` distinct terms; `shard_terms` are those that the shard has, by
    // ascending id. Throws std::invalid_argument where the block's sizes or offsets contradict each other.
    void open(const Block& block, const std::vector<ShardTerm>& shard_terms, size_t terms, const Bm25& bm25);

    const uint64_t* bitmap(const PostingList& list) const { return window_bits + list.number * bitmap_words(strips); }

    // Prefetches what a query reads first.
    void prefetch(const PostingList& list) const;

    size_t rows = 0, strips = 0;
    uint64_t last_windows = 0;  // windows of the last strip that have rows, as bits
    const int64_t* units = nullptr;
    const uint16_t* sparse_windows = nullptr;
    const uint8_t *sparse_rows = nullptr, *dense_rows = nullptr;
    const uint32_t *repeat_rows = nullptr, *repeat_counts = nullptr;
    const uint64_t* window_bits = nullptr;
    std::vector<PostingList> lists;           // by term index
    std::vector<uint16_t> repeat_windows;     // of each repeat of the queries' terms
    std::vector<float> extra;                 // what a repeat adds to a score, in term weights over 1 + s
    std::vector<double> saturation, divisor;  // by length number: s and 1 + s
    std::vector<uint16_t> length_of;          // the length number of each row
    std::vector<float> strip_divisor;         // of the first row of each strip, its shortest; rises

  private:
    void open_lengths(const Block& block, const Bm25& bm25);
    void open_sparse(const Block& block, const std::vector<ShardTerm>& shard_terms);
    void open_dense(const Block& block, const std::vector<ShardTerm>& shard_terms);
    void open_repeats(const Block& block, const std::vector<ShardTerm>& shard_terms);

    std::vector<float> extra_of_two_;  // by length number
};

}  // namespace hornbook
