// A query while it is searched: its terms, the best hits so far, and the threshold that a further hit must pass.
#pragma once

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace hornbook {

struct Hit {
    double score;
    int64_t unit;
    // Better hits come first: the higher score, then the lower unit id.
    bool operator<(const Hit& other) const {
        return score != other.score ? score > other.score : unit < other.unit;
    }
};

struct QueryTerm {
    uint32_t index;  // among the distinct terms of all queries
    uint32_t count;  // occurrences in the query
    double weight;   // count * idf
};

// Leaves the k best items, in any order.
template <class Item, class Better = std::less<>>
void keep_best(std::vector<Item>& items, size_t k, Better better = {}) {
    if (items.size() <= k) return;
    std::nth_element(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(k - 1), items.end(), better);
    items.resize(k);
}

// Leaves the items that pass, without a branch per item: which ones is hard to predict.
template <class Item, class Passes>
void keep_if(std::vector<Item>& items, Passes passes) {
    Item* to = items.data();
    for (const Item& item : items) {
        const bool is = passes(item);
        *to = item;
        to += is;
    }
    items.resize(static_cast<size_t>(to - items.data()));
}

// Up to this k, delivered scores are remembered; for a larger k the copies cost more than the threshold saves. Tuned;
// any value gives the same hits.
constexpr size_t max_k_remembered = 256;

// The running top k of one query. Like the heap of WAND (Broder et al. 2003) it gives the threshold; unlike a heap it
// collects up to 2k hits and cuts them to k at once, which costs less per hit.
struct Query {
    size_t first_term, end_term;  // in the order in which a score is summed
    size_t k;
    double threshold;  // a hit must score above it; never falls
    std::vector<Hit> hits;
    std::vector<double> delivered;  // scores of hits that were handed over and still count towards the k-th

    // Adds hits. Invariant: of all hits offered so far, the k best are among `hits` and those handed over.
    void insert(std::vector<Hit>& found) {
        if (hits.size() + found.size() > 2 * k) {
            raise_threshold();
            keep_best(found, k);
        }
        hits.insert(hits.end(), found.begin(), found.end());
        assert(hits.size() <= 2 * k);
    }

    // Raises the threshold to the k-th best score so far and drops what does not pass it. A unit that equals the k-th
    // score must still pass, as its id may be lower: so the threshold is the next number below.
    void raise_threshold() {
        if (delivered.size() + hits.size() < k) return;
        std::vector<double> scores;
        scores.reserve(delivered.size() + hits.size());
        scores.insert(scores.end(), delivered.begin(), delivered.end());
        for (const Hit& hit : hits) scores.push_back(hit.score);
        const auto kth = scores.begin() + static_cast<std::ptrdiff_t>(k - 1);
        std::nth_element(scores.begin(), kth, scores.end(), std::greater<>());
        threshold = std::max(threshold, std::nextafter(*kth, 0.0));
        keep_if(delivered, [&](double score) { return score > threshold; });
        keep_if(hits, [&](const Hit& hit) { return hit.score > threshold; });
        // More than k may be left where scores are equal.
        keep_best(delivered, k, std::greater<>());
        keep_best(hits, k);
    }

    // Forgets the hits, which were handed over, but not their scores.
    void mark_delivered() {
        if (k < max_k_remembered)
            for (const Hit& hit : hits) delivered.push_back(hit.score);
        hits.clear();
    }
};

}  // namespace hornbook
