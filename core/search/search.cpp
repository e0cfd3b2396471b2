#include "search.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <utility>

#include "../parallel.h"

namespace hornbook {
namespace {

constexpr size_t blocks_at_once = 16;  // opened together; bounds memory

void check(bool valid, const char* message) {
    if (!valid) throw std::invalid_argument(message);
}

bool positive(double number) { return std::isfinite(number) && number > 0; }

// Returns the terms of the queries that a shard has. Invariant: ids and indices rise.
std::vector<ShardTerm> terms_of_shard(const In<int32_t>& ids, size_t terms) {
    check(ids.size() == terms, "ids do not fit the terms of the queries");
    std::vector<ShardTerm> found;
    for (size_t index = 0; index < ids.size(); ++index)
        if (ids(index) >= 0) found.push_back({static_cast<uint32_t>(ids(index)), static_cast<uint32_t>(index)});
    check(std::is_sorted(found.begin(), found.end()), "ids of terms do not rise");
    return found;
}

}  // namespace

Search::Search(const In<uint64_t>& starts, const In<uint32_t>& indices, const In<uint32_t>& counts,
               const In<double>& idf, const In<uint32_t>& k, const In<double>& thresholds, double k1, double b,
               double mean_length, size_t threads)
    : idf_(idf.data(), idf.data() + idf.size()), bm25_{k1, b, mean_length}, threads_(std::min(threads, max_threads)) {
    check(threads > 0, "no thread");
    check(k1 >= 0 && std::isfinite(k1) && b >= 0 && b <= 1 && positive(mean_length), "BM25 parameters out of range");
    check(std::all_of(idf_.begin(), idf_.end(), positive), "an idf that is not positive");
    const char* const sizes = "queries whose arrays contradict each other";
    check(starts.size() == k.size() + 1 && thresholds.size() == k.size() && indices.size() == counts.size(), sizes);
    check(starts(0) == 0 && starts(k.size()) == indices.size(), sizes);
    for (size_t i = 0; i < k.size(); ++i) {
        check(k(i) && starts(i) <= starts(i + 1) && !std::isnan(thresholds(i)), sizes);
        // A score equal to the given threshold passes.
        queries_.push_back({starts(i), starts(i + 1), k(i), std::nextafter(thresholds(i), 0.0), {}, {}});
    }
    for (size_t i = 0; i < indices.size(); ++i) {
        check(indices(i) < idf_.size(), "a term without an idf");
        terms_.push_back({indices(i), counts(i), counts(i) * idf_[indices(i)]});
    }
    for (size_t i = 0; i < threads_; ++i) workers_.emplace_back(terms_, idf_);
}

void Search::add(const std::vector<Block>& blocks, const In<int32_t>& ids) {
    nb::gil_scoped_release release;
    const std::vector<ShardTerm> shard_terms = terms_of_shard(ids, idf_.size());
    for (size_t first = 0; first < blocks.size(); first += blocks_at_once) {
        const size_t count = std::min(blocks_at_once, blocks.size() - first);
        if (views_.size() < count) views_.resize(count);
        in_parallel(threads_, count,
                    [&](size_t i, size_t) { views_[i].open(blocks[first + i], shard_terms, idf_.size(), bm25_); });
        in_ranges(threads_, queries_.size(), [&](size_t from, size_t to, size_t worker) {
            for (size_t i = 0; i < count; ++i)
                workers_[worker].search(views_[i], queries_.data() + from, queries_.data() + to);
        });
    }
}

HitArrays Search::hits() {
    std::vector<uint64_t> starts{0};
    std::unique_ptr<int64_t[]> units;
    std::unique_ptr<double[]> scores;
    {
        nb::gil_scoped_release release;
        in_ranges(threads_, queries_.size(), [&](size_t from, size_t to, size_t) {
            for (size_t q = from; q < to; ++q)
                if (queries_[q].hits.size() > queries_[q].k) queries_[q].raise_threshold();
        });
        for (const Query& query : queries_) starts.push_back(starts.back() + query.hits.size());
        units.reset(new int64_t[starts.back()]);
        scores.reset(new double[starts.back()]);
        in_ranges(threads_, queries_.size(), [&](size_t from, size_t to, size_t) {
            for (size_t q = from; q < to; ++q) {
                size_t at = starts[q];
                for (const Hit& hit : queries_[q].hits) {
                    units[at] = hit.unit;
                    scores[at++] = hit.score;
                }
                assert(at == starts[q + 1]);
                queries_[q].mark_delivered();
            }
        });
    }
    const size_t size = starts.back();
    return {give(std::move(starts)), give(std::move(units), size), give(std::move(scores), size)};
}

}  // namespace hornbook
