// One thread's search of a block for one query after another.
//
// The search is exact top k with upper bounds and a threshold, as in MaxScore (Turtle and Flood 1995), WAND (Broder et
// al. 2003) and block-max WAND (Ding and Suel 2011): what cannot pass the threshold is never scored. It differs from
// them. They walk the posting lists of one query in step and skip along them; here nothing is skipped in a list. All
// bounds of a block are added up first, term by term, 64 windows per instruction, in arrays that stay in the cache.
// And their bounds come from the largest score in a list or a part of one; ours comes from the weights of the terms that
// a window of 8 rows holds, and from its length: rows are sorted by length, so a strip's rows are about equally long,
// and the bound a row must reach is known for the strip.
//
// Bounds are quantised: whole numbers below 256, added with saturation, as quantised impacts are (Anh and Moffat 2002;
// Lin and Trotman 2015). There scores are rounded once, when the index is made; here weights are rounded up, for each
// query and threshold, and only filter. What passes is scored in float64. So rounding never changes a result.
//
// docs/explain/retrieval.md goes through one block by hand.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../simd.h"
#include "block_view.h"
#include "query.h"

namespace hornbook {

constexpr size_t word_windows = strip_windows / window_rows;  // windows whose rows fill a 64-bit word

// A term of a query that a block holds.
struct PresentTerm {
    PostingList list;
    double weight;
    uint32_t term;                 // its number among the terms of all queries
    uint64_t* row_bits = nullptr;  // which rows of the candidate windows hold it, word_windows in a word

    // The same by window: byte i is the i-th candidate window (little endian, see windows.h).
    uint8_t* window_rows_held() const { return reinterpret_cast<uint8_t*>(row_bits); }
};

class Worker {
  public:
    Worker(const std::vector<QueryTerm>& terms, const std::vector<double>& idf);
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Searches a block for queries [query, end). Memory for the next query is fetched in the meantime.
    void search(const BlockView& block, Query* query, Query* end);

  private:
    // A row of the candidate windows that holds a term several times.
    struct RepeatedRow {
        const PresentTerm* term;
        uint32_t row;  // counted over the candidate windows
        uint32_t count;
    };

    void collect_present_terms(const BlockView& block, const Query& query);
    void search(const BlockView& block, Query& query);

    // worker.cpp: bounds of windows.
    bool limit_strips(const BlockView& block, double threshold);
    void set_required_bounds(const BlockView& block, float threshold);
    void add_window_bounds(const BlockView& block);
    void select_candidate_windows(const BlockView& block);
    void number_candidates();
    void raise_threshold_first(const BlockView& block, Query& query);

    // candidates.cpp: bounds and scores of rows.
    void search_candidates(const BlockView& block, Query& query);
    void bound_rows(const BlockView& block);
    void list_candidate_windows();
    void gather_dense(const BlockView& block);
    void gather_sparse(const BlockView& block);
    void gather_repeats(const BlockView& block);
    void select_candidate_rows(const BlockView& block);
    void score_candidates(const BlockView& block, Query& query);
    void list_candidate_rows(const BlockView& block);
    const RepeatedRow* add_scores(const BlockView& block, const PresentTerm& term, const RepeatedRow* repeat);

    template <class Place>
    const uint32_t* choose(const uint64_t* words, const Place* places, uint32_t size);
    uint32_t slot_of(uint32_t window) const;
    float scaled_weight(const PresentTerm& term) const { return static_cast<float>(term.weight) * scale_; }

    const std::vector<QueryTerm>& terms_;
    const std::vector<double>& idf_;

    // The query's terms in the block, and those of the next query; what a row that holds them all would weigh.
    std::vector<PresentTerm> present_, next_present_;
    double max_weight_ = 0, next_max_weight_ = 0;

    // Windows. Arrays that are read at a window from a file have room for every 16-bit number.
    size_t strips_ = 0;  // the first strips of the block, in which the threshold can be reached
    float scale_ = 0;    // of the quantised bounds: the value of a weight of 1
    std::vector<QuantisedTerm> quantised_terms_;
    std::vector<uint8_t> window_upper_bounds_;  // [max_windows]
    std::vector<uint8_t> required_bound_;       // of each strip: what the bound of a candidate must reach
    std::vector<uint64_t> candidate_bits_;      // [max_strips] words; no bits beyond the block
    std::vector<uint64_t> searched_bits_;       // candidates that were searched already
    std::vector<uint32_t> candidate_strips_;    // those with candidates
    std::vector<uint32_t> candidates_before_;   // [max_strips] number of candidates before each of these
    uint32_t candidates_ = 0;

    // Rows of the candidate windows, word_windows in a word.
    std::vector<uint16_t> candidate_windows_;
    std::vector<uint32_t> bit_of_window_;  // the place of each in a bitmap
    std::vector<uint32_t> chosen_;         // some of them, or of a list's entries
    std::vector<uint64_t> row_bits_;       // [present terms, words]
    std::vector<uint8_t> row_upper_bounds_;
    std::vector<uint8_t> word_required_bound_;  // of each word: what the bounds of its rows must reach
    std::vector<RepeatedRow> repeats_;          // by present term

    // Candidate rows: those whose bounds suffice.
    std::vector<uint64_t> candidate_row_bits_;
    std::vector<uint32_t> candidate_words_;    // words with any
    std::vector<uint32_t> first_in_word_;      // where the rows of each of these start
    std::vector<uint32_t> candidate_rows_;     // as rows of the block
    std::vector<double> divisors_, scores_;    // of these; scores_ are the accumulators
    std::vector<Hit> found_;                   // those that pass the threshold
};

// A weight as a whole number from 1 to 255, rounded up by more than float arithmetic can lose, so a sum of these is
// never below the sum of the weights. NaN becomes 255.
inline uint32_t quantise_up(float scaled_weight) {
    return static_cast<uint32_t>(std::min(254.f, scaled_weight * 1.000001f)) + 1;
}

inline void add_saturating(uint8_t& bound, uint32_t weight) {
    const uint32_t sum = bound + weight;
    bound = static_cast<uint8_t>(sum < 255 ? sum : 255);
}

}  // namespace hornbook
