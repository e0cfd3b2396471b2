// BM25 for many queries at once over the blocks of shards. hornbook/retrieval/reference.py defines the result.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "block_view.h"
#include "hits.h"
#include "query.h"
#include "worker.h"

namespace hornbook {

class Search {
  public:
    // The queries as a sparse matrix: query i has the terms indices[starts[i]:starts[i + 1]] with their counts. Throws
    // std::invalid_argument where the arrays contradict each other, or a number is out of BM25's range.
    Search(const In<uint64_t>& starts, const In<uint32_t>& indices, const In<uint32_t>& counts, const In<double>& idf,
           const In<uint32_t>& k, const In<double>& thresholds, double k1, double b, double mean_length,
           size_t threads);
    Search(const Search&) = delete;
    Search& operator=(const Search&) = delete;

    // Searches blocks of a shard. ids[index] is the id that a term has there, or below 0; ids rise with the index.
    void add(const std::vector<Block>& blocks, const In<int32_t>& ids);

    // Returns the hits since the last call, unordered. Their scores go on to raise the thresholds.
    HitArrays hits();

  private:
    std::vector<double> idf_;
    Bm25 bm25_;
    size_t threads_;
    std::vector<QueryTerm> terms_;  // query by query
    std::vector<Query> queries_;
    std::vector<BlockView> views_;
    std::deque<Worker> workers_;  // one a thread; a deque, as workers do not move
};

}  // namespace hornbook
