// Texts to term ids, and blocks of them turned over: hornbook/corpus/inverted.py says what they hold.
#include "terms.h"

#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

#include "numbering.h"
#include "texts.h"
#include "windows.h"
#include "words.h"

namespace hornbook {
namespace {

// The terms of units, and blocks of these units turned over.
class UnitTerms {
  public:
    UnitTerms(const In<uint8_t>& kind, const In<uint32_t>& lower) : characters_(characters(kind, lower)), text_(characters_) {}

    // Takes in units; returns those with unusual characters, which stay empty until `put`.
    std::vector<size_t> add(const In<int32_t>& offsets, const In<uint8_t>& data) {
        nb::gil_scoped_release release;
        const Texts texts(offsets, data);
        std::vector<size_t> unusual;
        for (size_t i = 0; i < texts.size; ++i) {
            const size_t start = ids_.size();
            if (text_.read(texts[i])) {
                asked_.clear();
                text_.scan<false>([&](std::string_view word, size_t, size_t) { asked_.push_back(numbers_.ask(word)); }, [] {});
                for (const Numbering::Asked& asked : asked_) ids_.push_back(numbers_.number(asked));
            } else {
                unusual.push_back(units_.size());
            }
            units_.push_back({start, ids_.size()});
        }
        return unusual;
    }

    // Says which terms a unit holds.
    void put(size_t unit, const std::vector<std::string_view>& terms) {
        const size_t start = ids_.size();
        for (const std::string_view term : terms) ids_.push_back(numbers_(term));
        units_.at(unit) = {start, ids_.size()};
    }

    // Every term once, in the order of its bytes, as Arrow holds texts.
    std::tuple<Out<int32_t>, Out<uint8_t>> vocabulary() {
        std::vector<int32_t> offsets{0};
        std::vector<uint8_t> data;
        {
            nb::gil_scoped_release release;
            std::vector<uint32_t> order(numbers_.size());
            std::iota(order.begin(), order.end(), 0u);
            std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return numbers_[a] < numbers_[b]; });
            rank_.resize(order.size());
            for (size_t i = 0; i < order.size(); ++i) {
                rank_[order[i]] = static_cast<uint32_t>(i);
                const std::string_view word = numbers_[order[i]];
                data.insert(data.end(), word.begin(), word.end());
                if (data.size() > INT32_MAX) throw std::length_error("a vocabulary of over 2 GB");
                offsets.push_back(static_cast<int32_t>(data.size()));
            }
        }
        return {give(std::move(offsets)), give(std::move(data))};
    }

    // The terms of the units in their order, as places in the vocabulary, and where those of each unit end.
    std::tuple<Out<int64_t>, Out<uint32_t>> sequences() {
        std::vector<int64_t> ends;
        std::vector<uint32_t> places;
        {
            nb::gil_scoped_release release;
            if (rank_.size() != numbers_.size()) throw std::invalid_argument("the vocabulary comes first");
            ends.reserve(units_.size());
            places.reserve(ids_.size());
            for (const Span& span : units_) {
                for (size_t at = span.start; at < span.end; ++at) places.push_back(rank_[ids_[at]]);
                ends.push_back(static_cast<int64_t>(places.size()));
            }
        }
        return {give(std::move(ends)), give(std::move(places))};
    }

    // Turns over some of the units; place[i] is the id of the i-th term of the vocabulary, or below 0 where it is
    // dropped. `terms` is the number of ids.
    auto block(const In<int64_t>& chosen, const In<int32_t>& place, size_t terms) {
        if (!chosen.size() || chosen.size() > max_block_rows || place.size() != rank_.size())
            throw std::invalid_argument("no such block");
        Block block;
        {
            nb::gil_scoped_release release;
            block = turn_over(chosen, place.data(), terms);
        }
        return std::make_tuple(give(std::move(block.order)), give(std::move(block.lengths)),
                               give(std::move(block.length_ends)), give(std::move(block.rare_ends)),
                               give(std::move(block.rare_windows)), give(std::move(block.rare_rows)),
                               give(std::move(block.frequent_terms)), give(std::move(block.frequent_ends)),
                               give(std::move(block.windows)), give(std::move(block.frequent_rows)),
                               give(std::move(block.repeat_terms)), give(std::move(block.repeat_ends)),
                               give(std::move(block.repeat_rows)), give(std::move(block.repeat_counts)));
    }

  private:
    struct Span {
        size_t start, end;
    };
    struct Block {
        std::vector<uint32_t> order, lengths, length_ends, rare_ends;
        std::vector<uint16_t> rare_windows;
        std::vector<uint8_t> rare_rows;
        std::vector<uint32_t> frequent_terms, frequent_ends;
        std::vector<uint64_t> windows;
        std::vector<uint8_t> frequent_rows;
        std::vector<uint32_t> repeat_terms, repeat_ends, repeat_rows, repeat_counts;
    };

    Block turn_over(const In<int64_t>& chosen, const int32_t* place, size_t terms) {
        const size_t n = chosen.size();
        Block block;
        // Term ids unit by unit, those dropped left out.
        std::vector<uint32_t> ids;
        std::vector<size_t> starts{0};
        std::vector<uint32_t> length(n);
        for (size_t i = 0; i < n; ++i) {
            const Span span = units_.at(static_cast<size_t>(chosen(i)));
            for (size_t at = span.start; at < span.end; ++at) {
                const int32_t id = place[rank_[ids_[at]]];
                if (id >= 0) ids.push_back(static_cast<uint32_t>(id));
            }
            starts.push_back(ids.size());
            length[i] = static_cast<uint32_t>(starts[i + 1] - starts[i]);
        }
        block.order.resize(n);
        std::iota(block.order.begin(), block.order.end(), 0u);
        std::stable_sort(block.order.begin(), block.order.end(), [&](uint32_t a, uint32_t b) { return length[a] < length[b]; });
        for (size_t row = 0; row < n; ++row) {
            const uint32_t here = length[block.order[row]];
            if (row == 0 || here != block.lengths.back()) {
                block.lengths.push_back(here);
                block.length_ends.push_back(0);
            }
            block.length_ends.back() = static_cast<uint32_t>(row + 1);
        }
        // By term, then row: a term that a unit repeats has its row several times, side by side.
        std::vector<uint32_t> next(terms + 1, 0);
        for (const uint32_t id : ids) ++next[id + 1];
        for (size_t t = 0; t < terms; ++t) next[t + 1] += next[t];
        std::vector<uint32_t> rows(ids.size());
        for (size_t row = 0; row < n; ++row) {
            const size_t unit = block.order[row];
            for (size_t at = starts[unit]; at < starts[unit + 1]; ++at)
                rows[next[ids[at]]++] = static_cast<uint32_t>(row);
        }
        const size_t strips = (n + window_rows * strip_windows - 1) / (window_rows * strip_windows);
        for (size_t t = 0, at = 0; t < terms; ++t) {
            const size_t end = next[t], repeats = block.repeat_rows.size();  // by now where the next term starts
            block.rare_ends.push_back(static_cast<uint32_t>(block.rare_windows.size()));
            if (at == end) continue;
            // Each row once, to the front.
            const size_t first = at;
            size_t units = 0;
            while (at < end) {
                const size_t start = at;
                while (at < end && rows[at] == rows[start]) ++at;
                rows[first + units++] = rows[start];
                if (at - start > 1) {
                    block.repeat_rows.push_back(rows[start]);
                    block.repeat_counts.push_back(static_cast<uint32_t>(at - start));
                }
            }
            const uint32_t* const held = rows.data() + first;
            if (2 * units <= strips + 1) {
                by_windows(held, held + units, block.rare_rows,
                           [&](size_t at) { block.rare_windows.push_back(static_cast<uint16_t>(at)); });
                block.rare_ends.back() = static_cast<uint32_t>(block.rare_windows.size());
            } else {
                block.frequent_terms.push_back(static_cast<uint32_t>(t));
                as_bits(held, held + units, strips, block);
                block.frequent_ends.push_back(static_cast<uint32_t>(block.frequent_rows.size()));
            }
            if (block.repeat_rows.size() > repeats) {
                block.repeat_terms.push_back(static_cast<uint32_t>(t));
                block.repeat_ends.push_back(static_cast<uint32_t>(block.repeat_rows.size()));
            }
        }
        return block;
    }

    // Appends for each window that holds some of the rows which these are, and says which window it is.
    template <class Say>
    static void by_windows(const uint32_t* at, const uint32_t* end, std::vector<uint8_t>& to, Say say) {
        while (at < end) {
            const size_t here = *at / window_rows;
            uint32_t rows = 0;
            for (; at < end && *at / window_rows == here; ++at) rows |= 1u << *at % window_rows;
            to.push_back(static_cast<uint8_t>(rows));
            say(here);
        }
    }

    static void as_bits(const uint32_t* at, const uint32_t* end, size_t strips, Block& block) {
        const size_t first = block.windows.size();
        block.windows.resize(first + bitmap_words(strips));
        uint64_t* const words = block.windows.data() + first;
        by_windows(at, end, block.frequent_rows,
                   [&](size_t here) { words[word_of_strip(here / strip_windows)] |= uint64_t{1} << here % strip_windows; });
        fill_ranks(words, strips);
    }

    const Characters characters_;
    Lowered text_;
    Numbering numbers_;
    std::vector<Numbering::Asked> asked_;
    std::vector<uint32_t> ids_;
    std::vector<Span> units_;
    std::vector<uint32_t> rank_;
};

}  // namespace

void bind_terms(nb::module_& module) {
    nb::class_<UnitTerms>(module, "UnitTerms")
        .def(nb::init<const In<uint8_t>&, const In<uint32_t>&>(), nb::arg("kind"), nb::arg("lower"))
        .def("add", &UnitTerms::add, nb::arg("offsets"), nb::arg("data"))
        .def("put", &UnitTerms::put, nb::arg("unit"), nb::arg("terms"))
        .def("vocabulary", &UnitTerms::vocabulary)
        .def("sequences", &UnitTerms::sequences)
        .def("block", &UnitTerms::block, nb::arg("chosen"), nb::arg("place"), nb::arg("terms"));
}

}  // namespace hornbook
