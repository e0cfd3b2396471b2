// Hits as they go to and come from Python.
#pragma once

#include <tuple>
#include <vector>

#include "../texts.h"

namespace hornbook {

// The hits of all queries one after another: where each query's start and the last end, units, scores.
using HitArrays = std::tuple<Out<uint64_t>, Out<int64_t>, Out<double>>;
using HitInputs = std::tuple<In<uint64_t>, In<int64_t>, In<double>>;

// Returns the k best hits of each query over several parts, best first; with `padded`, k for each query, the missing
// ones with unit -1 and score -inf.
HitArrays merge(const In<uint32_t>& k, const std::vector<HitInputs>& parts, bool padded, size_t threads);

// Returns the place of each text in a dictionary, or -1. Both rise by bytes.
Out<int32_t> look_up(const In<int32_t>& offsets, const In<uint8_t>& data, const In<int32_t>& dictionary_offsets,
                     const In<uint8_t>& dictionary_data);

}  // namespace hornbook
