#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>

#include "../parallel.h"
#include "hits.h"
#include "query.h"

namespace hornbook {
namespace {

constexpr size_t min_hits_to_spread = 32;  // tuned; any value gives the same order

// Buffers for the hits of a query, reused for the next.
struct Buffers {
    std::vector<Hit> hits, spread;
    std::vector<uint32_t> ends;
};

// Sorts the k best of some hits to the front. A bucket sort: few scores are equal, so hits are spread by score over as
// many buckets as there are hits, and the few in a bucket are sorted, as far as needed.
void sort_best(Buffers& buffers, size_t k) {
    auto& [hits, spread, ends] = buffers;
    const size_t size = hits.size();
    const auto [best, worst] = std::minmax_element(hits.begin(), hits.end());
    const double top = best->score, scale = static_cast<double>(size - 1) / (top - worst->score);
    if (size < min_hits_to_spread || !std::isfinite(scale)) {
        std::sort(hits.begin(), hits.end());
        return;
    }
    const auto bucket = [&](const Hit& hit) { return std::min(static_cast<size_t>((top - hit.score) * scale), size - 1); };
    ends.assign(size, 0);
    for (const Hit& hit : hits) ++ends[bucket(hit)];
    uint32_t sum = 0;
    for (uint32_t& end : ends) sum += std::exchange(end, sum);
    spread.resize(size);
    for (const Hit& hit : hits) spread[ends[bucket(hit)]++] = hit;
    hits.swap(spread);
    const auto start = hits.begin();
    for (size_t i = 0, first = 0; first < std::min(k, size); first = ends[i++])
        if (ends[i] - first > 1) std::sort(start + first, start + ends[i]);
    assert(std::is_sorted(start, start + static_cast<std::ptrdiff_t>(std::min(k, size))));
}

void check(bool valid) {
    if (!valid) throw std::invalid_argument("hits whose arrays contradict each other");
}

// Invariant afterwards: every hit of every query lies in the arrays.
void check(const HitInputs& part, size_t queries) {
    const auto& [starts, units, scores] = part;
    check(starts.size() == queries + 1 && units.size() == scores.size());
    check(starts(0) == 0 && starts(queries) == units.size());
    for (size_t q = 0; q < queries; ++q) check(starts(q) <= starts(q + 1));
}

// Collects a query's hits. Only finite scores can be put in order and in buckets.
void collect(const std::vector<HitInputs>& parts, size_t query, std::vector<Hit>& hits) {
    hits.clear();
    bool finite = true;
    for (const auto& [starts, units, scores] : parts) {
        const int64_t* const unit = units.data();
        const double* const score = scores.data();
        for (size_t i = starts(query), end = starts(query + 1); i < end; ++i) {
            finite &= std::isfinite(score[i]);
            hits.push_back({score[i], unit[i]});
        }
    }
    check(finite);
}

}  // namespace

HitArrays merge(const In<uint32_t>& k, const std::vector<HitInputs>& parts, bool padded, size_t threads) {
    for (const HitInputs& part : parts) check(part, k.size());
    const Hit missing{-std::numeric_limits<double>::infinity(), -1};
    std::vector<uint64_t> ends{0};
    std::unique_ptr<int64_t[]> units;
    std::unique_ptr<double[]> scores;
    {
        nb::gil_scoped_release release;
        ends.reserve(k.size() + 1);
        for (size_t q = 0; q < k.size(); ++q) {
            uint64_t count = 0;
            for (const auto& part : parts) count += std::get<0>(part)(q + 1) - std::get<0>(part)(q);
            check(count <= std::numeric_limits<uint32_t>::max());
            ends.push_back(ends.back() + (padded ? k(q) : std::min<uint64_t>(count, k(q))));
        }
        units.reset(new int64_t[ends.back()]);
        scores.reset(new double[ends.back()]);
        in_ranges(threads, k.size(), [&](size_t first, size_t last, size_t) {
            Buffers buffers;
            for (size_t q = first; q < last; ++q) {
                collect(parts, q, buffers.hits);
                if (!buffers.hits.empty()) sort_best(buffers, k(q));
                for (size_t i = 0, at = ends[q]; at < ends[q + 1]; ++i, ++at) {
                    const Hit hit = i < buffers.hits.size() ? buffers.hits[i] : missing;
                    units[at] = hit.unit;
                    scores[at] = hit.score;
                }
            }
        });
    }
    const size_t size = ends.back();
    return {give(std::move(ends)), give(std::move(units), size), give(std::move(scores), size)};
}

}  // namespace hornbook
