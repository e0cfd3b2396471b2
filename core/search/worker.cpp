#include "worker.h"

#include <algorithm>
#include <cassert>

#include "bits.h"

namespace hornbook {
namespace {

// Searching for a better threshold pays off with this many more candidates than twice those that yield one. Tuned; any
// value gives the same hits.
constexpr size_t min_candidates_to_raise = 256;
// A threshold is lowered by more than float arithmetic can add to a bound.
constexpr double threshold_slack = 1 - 1e-6, weight_slack = 1 + 1e-6;
constexpr int bisections = 8;

// How many windows to search for a first threshold: usually enough to hold k good hits.
size_t windows_to_search_first(const Query& query) { return 2 * query.k + 4; }

float lowered(double threshold) { return static_cast<float>(threshold * threshold_slack); }

}  // namespace

Worker::Worker(const std::vector<QueryTerm>& terms, const std::vector<double>& idf)
    : terms_(terms), idf_(idf), window_upper_bounds_(max_windows), candidate_bits_(max_strips),
      candidates_before_(max_strips) {}

void Worker::search(const BlockView& block, Query* query, Query* end) {
    assert(query < end && block.strips <= max_strips);
    std::fill(candidate_bits_.begin() + static_cast<std::ptrdiff_t>(block.strips), candidate_bits_.end(), 0);
    collect_present_terms(block, *query);
    for (; query < end; ++query) {
        present_.swap(next_present_);
        max_weight_ = next_max_weight_;
        if (query + 1 < end) collect_present_terms(block, query[1]);
        if (!present_.empty()) search(block, *query);
    }
}

// Lists the terms of a query that the block holds, in the order in which scores are summed.
void Worker::collect_present_terms(const BlockView& block, const Query& query) {
    next_present_.clear();
    next_max_weight_ = 0;
    for (size_t i = query.first_term; i < query.end_term; ++i) {
        const QueryTerm& term = terms_[i];
        const PostingList& list = block.lists[term.index];
        if (!list.size) continue;
        next_present_.push_back({list, term.weight, static_cast<uint32_t>(i)});
        next_max_weight_ += term.weight * (1 + list.max_extra);
        block.prefetch(list);
    }
}

// Searches the block for one query. Invariant: every row that scores above the threshold is offered to the query once.
void Worker::search(const BlockView& block, Query& query) {
    if (query.hits.size() + query.delivered.size() > query.k + query.k / 8) query.raise_threshold();
    if (!limit_strips(block, query.threshold)) return;
    add_window_bounds(block);
    select_candidate_windows(block);
    if (candidates_ > min_candidates_to_raise + 2 * windows_to_search_first(query))
        raise_threshold_first(block, query);
    else
        search_candidates(block, query);
}

// Finds the strips in which the threshold can be reached, and a scale for it. A row scores at most its weights' sum over
// 1 + s, so it needs threshold * (1 + s). That rises with the strips: those where all weights suffice come first.
bool Worker::limit_strips(const BlockView& block, double threshold) {
    const float lowest = lowered(threshold), all = static_cast<float>(max_weight_ * weight_slack);
    const auto& divisor = block.strip_divisor;
    const auto end = std::partition_point(divisor.begin(), divisor.end(), [&](float d) { return lowest * d <= all; });
    strips_ = static_cast<size_t>(end - divisor.begin());
    if (!strips_) return false;
    scale_ = 255 / (lowest > 0 ? lowest * divisor[strips_ - 1] : all);
    required_bound_.resize(strips_);
    std::fill(candidate_bits_.begin() + static_cast<std::ptrdiff_t>(strips_),
              candidate_bits_.begin() + static_cast<std::ptrdiff_t>(block.strips), 0);
    set_required_bounds(block, lowest);
    return true;
}

// Sets what a bound must reach in each strip. Invariant: at least 1, so a row without any term is no candidate; at most
// 255, where bounds saturate; rises with the strips.
void Worker::set_required_bounds(const BlockView& block, float threshold) {
    uint8_t* const __restrict to = required_bound_.data();
    const float* const divisor = block.strip_divisor.data();
    const float scaled = threshold * scale_;
    for (size_t s = 0, end = strips_; s < end; ++s)
        to[s] = static_cast<uint8_t>(static_cast<int>(std::max(1.f, std::min(255.f, scaled * divisor[s]))));
    assert(std::is_sorted(required_bound_.begin(), required_bound_.end()));
}

// Adds up the upper bound of each window: the weights of the terms that any of its rows holds, and what repeats add.
// Invariant: no row of the first strips_ strips weighs more than its window's bound. Beyond them bounds mean nothing.
void Worker::add_window_bounds(const BlockView& block) {
    uint8_t* const bounds = window_upper_bounds_.data();
    assert(groups_of(strips_) * group_strips * strip_windows <= window_upper_bounds_.size());
    quantised_terms_.clear();
    for (const PresentTerm& term : present_)
        if (term.list.dense)
            quantised_terms_.push_back(
                {block.bitmap(term.list), static_cast<uint8_t>(quantise_up(scaled_weight(term)))});
    kernels().sum(bounds, groups_of(strips_), group_words, quantised_terms_.data(), quantised_terms_.size());
    for (const PresentTerm& term : present_) {
        const float weight = scaled_weight(term);
        if (!term.list.dense) {
            const uint32_t quantised = quantise_up(weight);
            const uint16_t* const windows = block.sparse_windows + term.list.start;
            for (uint32_t i = 0, end = term.list.size; i < end; ++i) add_saturating(bounds[windows[i]], quantised);
        }
        const uint16_t* const windows = block.repeat_windows.data() + term.list.extra_start;
        const float* const extra = block.extra.data() + term.list.extra_start;
        for (uint32_t i = 0, end = term.list.repeats; i < end; ++i)
            add_saturating(bounds[windows[i]], quantise_up(weight * extra[i]));
    }
}

// Selects the windows whose bounds suffice. Invariant: a candidate window has rows in the block.
void Worker::select_candidate_windows(const BlockView& block) {
    candidate_strips_.resize(strips_ + simd_room);
    candidate_strips_.resize(kernels().select(window_upper_bounds_.data(), required_bound_.data(), strips_,
                                        candidate_bits_.data(), candidate_strips_.data()));
    if (strips_ == block.strips) candidate_bits_[strips_ - 1] &= block.last_windows;
    number_candidates();
}

void Worker::number_candidates() {
    candidates_ = 0;
    for (const uint32_t s : candidate_strips_) {
        candidates_before_[s] = candidates_;
        candidates_ += count_ones(candidate_bits_[s]);
    }
}

// Where the threshold lets many windows through: searches the best ones first, which raises it, then the rest. Which are
// best is found by bisecting for a threshold that about as many windows reach as are wanted. Invariant: no candidate is
// searched twice.
void Worker::raise_threshold_first(const BlockView& block, Query& query) {
    const size_t enough = windows_to_search_first(query);
    const float lowest = lowered(query.threshold);
    float low = lowest, high = static_cast<float>(max_weight_) / block.strip_divisor[0];
    for (int i = 0; i < bisections; ++i) {
        const float middle = (low + high) / 2;
        set_required_bounds(block, middle);
        select_candidate_windows(block);
        (candidates_ < enough ? high : low) = middle;
    }
    set_required_bounds(block, low);
    select_candidate_windows(block);
    searched_bits_.assign(candidate_bits_.begin(), candidate_bits_.begin() + static_cast<std::ptrdiff_t>(strips_));
    set_required_bounds(block, lowest);  // their rows need only pass the query's own threshold
    search_candidates(block, query);
    query.raise_threshold();
    set_required_bounds(block, lowered(query.threshold));
    select_candidate_windows(block);
    for (const uint32_t s : candidate_strips_) candidate_bits_[s] &= ~searched_bits_[s];
    number_candidates();
    search_candidates(block, query);
}

}  // namespace hornbook
