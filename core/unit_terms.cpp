// Texts to term ids, and their inversion to blocks of postings. hornbook/index/reference.py defines the results,
// hornbook/index/layout.py the layout of a block.
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cassert>
#include <numeric>
#include <stdexcept>
#include <string_view>

#include "bindings.h"
#include "index_layout.h"
#include "interner.h"
#include "text/words.h"
#include "texts.h"

namespace hornbook {
namespace {

// The fields of `Block` in hornbook/index/layout.py, with `order` in place of its unit ids.
struct Postings {
    std::vector<uint32_t> order, lengths, length_ends, sparse_ends;
    std::vector<uint16_t> sparse_windows;
    std::vector<uint8_t> sparse_rows;
    std::vector<uint32_t> dense_terms, dense_ends;
    std::vector<uint64_t> window_bits;
    std::vector<uint8_t> dense_rows;
    std::vector<uint32_t> repeat_terms, repeat_ends, repeat_rows, repeat_counts;
};

// The term ids of some units, one unit after another.
struct TermIds {
    std::vector<uint32_t> ids;
    std::vector<size_t> starts{0};

    size_t units() const { return starts.size() - 1; }
    uint32_t length(size_t unit) const { return static_cast<uint32_t>(starts[unit + 1] - starts[unit]); }
};

// Sorts units by length, stably: they become the rows of the block.
void sort_rows(const TermIds& units, Postings& to) {
    to.order.resize(units.units());
    std::iota(to.order.begin(), to.order.end(), 0u);
    std::stable_sort(to.order.begin(), to.order.end(),
                     [&](uint32_t a, uint32_t b) { return units.length(a) < units.length(b); });
    for (size_t row = 0; row < to.order.size(); ++row) {
        const uint32_t length = units.length(to.order[row]);
        if (row == 0 || length != to.lengths.back()) {
            to.lengths.push_back(length);
            to.length_ends.push_back(0);
        }
        to.length_ends.back() = static_cast<uint32_t>(row + 1);
    }
}

// The rows of each term, rising, a row once per occurrence. `ends` are those of the terms in `rows`.
struct RowsByTerm {
    std::vector<uint32_t> rows, ends;
};

// A counting sort of all (term, row) pairs by term.
RowsByTerm rows_by_term(const TermIds& units, const std::vector<uint32_t>& order, size_t terms) {
    RowsByTerm result{std::vector<uint32_t>(units.ids.size()), std::vector<uint32_t>(terms + 1, 0)};
    std::vector<uint32_t>& next = result.ends;
    for (const uint32_t id : units.ids) ++next[id + 1];
    for (size_t term = 0; term < terms; ++term) next[term + 1] += next[term];
    // Now next[term] is the start of a term's rows; writing them moves it to their end.
    for (size_t row = 0; row < order.size(); ++row) {
        const size_t unit = order[row];
        for (size_t at = units.starts[unit]; at < units.starts[unit + 1]; ++at)
            result.rows[next[units.ids[at]]++] = static_cast<uint32_t>(row);
    }
    return result;
}

// Appends to `bitmaps` the bitmap of the rows in each window that has some, and calls add(window) for it.
template <class Add>
void split_windows(const uint32_t* row, const uint32_t* end, std::vector<uint8_t>& bitmaps, Add add) {
    while (row < end) {
        const size_t window = *row / window_rows;
        uint32_t rows = 0;
        for (; row < end && *row / window_rows == window; ++row) rows |= 1u << *row % window_rows;
        bitmaps.push_back(static_cast<uint8_t>(rows));
        add(window);
    }
}

void add_sparse(const uint32_t* row, const uint32_t* end, Postings& to) {
    split_windows(row, end, to.sparse_rows,
                  [&](size_t window) { to.sparse_windows.push_back(static_cast<uint16_t>(window)); });
}

void add_dense(uint32_t term, const uint32_t* row, const uint32_t* end, size_t strips, Postings& to) {
    const size_t first = to.window_bits.size();
    to.window_bits.resize(first + bitmap_words(strips));
    uint64_t* const words = to.window_bits.data() + first;
    split_windows(row, end, to.dense_rows, [&](size_t window) {
        words[word_of_strip(window / strip_windows)] |= uint64_t{1} << window % strip_windows;
    });
    fill_ranks(words, strips);
    to.dense_terms.push_back(term);
    to.dense_ends.push_back(static_cast<uint32_t>(to.dense_rows.size()));
}

Postings invert(const TermIds& units, size_t terms) {
    Postings to;
    sort_rows(units, to);
    RowsByTerm by_term = rows_by_term(units, to.order, terms);
    const size_t strips = (units.units() + strip_rows - 1) / strip_rows;
    uint32_t* at = by_term.rows.data();
    for (size_t term = 0; term < terms; ++term) {
        uint32_t* const end = by_term.rows.data() + by_term.ends[term];
        assert(at <= end);
        const size_t repeats = to.repeat_rows.size();
        // Each row once, in place.
        uint32_t *const first = at, *last = at;
        while (at < end) {
            const uint32_t row = *at;
            const uint32_t* const start = at;
            while (at < end && *at == row) ++at;
            *last++ = row;
            if (at - start > 1) {
                to.repeat_rows.push_back(row);
                to.repeat_counts.push_back(static_cast<uint32_t>(at - start));
            }
        }
        if (2 * static_cast<size_t>(last - first) <= strips + 1)
            add_sparse(first, last, to);
        else
            add_dense(static_cast<uint32_t>(term), first, last, strips, to);
        to.sparse_ends.push_back(static_cast<uint32_t>(to.sparse_windows.size()));
        if (to.repeat_rows.size() > repeats) {
            to.repeat_terms.push_back(static_cast<uint32_t>(term));
            to.repeat_ends.push_back(static_cast<uint32_t>(to.repeat_rows.size()));
        }
    }
    return to;
}

// The terms of units. One thread at a time may use it.
class UnitTerms {
  public:
    UnitTerms(const In<uint8_t>& kind, const In<uint32_t>& lower) : characters_(kind, lower), scanner_(characters_) {}
    UnitTerms(const UnitTerms&) = delete;
    UnitTerms& operator=(const UnitTerms&) = delete;

    // Adds units; returns the numbers of those with unusual characters, which stay empty until `put`.
    std::vector<size_t> add(const In<int32_t>& offsets, const In<uint8_t>& data) {
        nb::gil_scoped_release release;
        const Texts texts(offsets, data);
        std::vector<size_t> unusual;
        for (size_t i = 0; i < texts.size; ++i) {
            const size_t start = ids_.size();
            if (scanner_.read(texts[i])) {
                probes_.clear();
                scanner_.scan<false>(
                    [&](std::string_view word, size_t, size_t) { probes_.push_back(words_.probe(word)); }, [] {});
                for (const Interner::Probe& probe : probes_) ids_.push_back(words_.intern(probe));
            } else {
                unusual.push_back(units_.size());
            }
            units_.push_back({start, ids_.size()});
        }
        return unusual;
    }

    // Sets the terms of a unit.
    void put(size_t unit, const std::vector<std::string_view>& terms) {
        Span& span = units_.at(unit);
        const size_t start = ids_.size();
        for (const std::string_view term : terms) ids_.push_back(words_.intern(term));
        span = {start, ids_.size()};
    }

    // Returns every term once, in the order of its bytes, as Arrow offsets and data.
    std::tuple<Out<int32_t>, Out<uint8_t>> vocabulary() {
        std::vector<int32_t> offsets{0};
        std::vector<uint8_t> data;
        {
            nb::gil_scoped_release release;
            std::vector<uint32_t> order(words_.size());
            std::iota(order.begin(), order.end(), 0u);
            std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return words_[a] < words_[b]; });
            rank_.resize(order.size());
            for (size_t i = 0; i < order.size(); ++i) {
                rank_[order[i]] = static_cast<uint32_t>(i);
                const std::string_view word = words_[order[i]];
                data.insert(data.end(), word.begin(), word.end());
                if (data.size() > INT32_MAX) throw std::length_error("a vocabulary of over 2 GB");
                offsets.push_back(static_cast<int32_t>(data.size()));
            }
        }
        return {give(std::move(offsets)), give(std::move(data))};
    }

    // Returns where the terms of each unit end, and the terms of all units as positions in the vocabulary.
    std::tuple<Out<int64_t>, Out<uint32_t>> sequences() {
        std::vector<int64_t> ends;
        std::vector<uint32_t> positions;
        {
            nb::gil_scoped_release release;
            check_vocabulary();
            ends.reserve(units_.size());
            positions.reserve(ids_.size());
            for (const Span& span : units_) {
                for (size_t at = span.start; at < span.end; ++at) positions.push_back(rank_[ids_[at]]);
                ends.push_back(static_cast<int64_t>(positions.size()));
            }
        }
        return {give(std::move(ends)), give(std::move(positions))};
    }

    // Inverts some units. term_ids[i] is the id, below `terms`, of entry i of the vocabulary, or negative to drop it.
    auto block(const In<int64_t>& chosen, const In<int32_t>& term_ids, size_t terms) {
        Postings block;
        {
            nb::gil_scoped_release release;
            block = invert(ids_of(chosen, term_ids, terms), terms);
        }
        return std::make_tuple(give(std::move(block.order)), give(std::move(block.lengths)),
                               give(std::move(block.length_ends)), give(std::move(block.sparse_ends)),
                               give(std::move(block.sparse_windows)), give(std::move(block.sparse_rows)),
                               give(std::move(block.dense_terms)), give(std::move(block.dense_ends)),
                               give(std::move(block.window_bits)), give(std::move(block.dense_rows)),
                               give(std::move(block.repeat_terms)), give(std::move(block.repeat_ends)),
                               give(std::move(block.repeat_rows)), give(std::move(block.repeat_counts)));
    }

  private:
    struct Span {
        size_t start, end;  // in ids_
        size_t size() const { return end - start; }
    };

    void check_vocabulary() const {
        if (rank_.size() != words_.size()) throw std::invalid_argument("call vocabulary() first");
    }

    TermIds ids_of(const In<int64_t>& chosen, const In<int32_t>& term_ids, size_t terms) const {
        check_vocabulary();
        const int32_t* const ids = term_ids.data();
        if (!chosen.size() || chosen.size() > max_block_rows || term_ids.size() != rank_.size() ||
            terms > rank_.size() ||
            std::any_of(ids, ids + term_ids.size(), [terms](int32_t id) { return id >= static_cast<int64_t>(terms); }))
            throw std::invalid_argument("units or term ids that make no block");
        size_t size = 0;
        for (size_t i = 0; i < chosen.size(); ++i) size += units_.at(static_cast<size_t>(chosen(i))).size();
        TermIds result;
        result.ids.reserve(size);
        result.starts.reserve(chosen.size() + 1);
        for (size_t i = 0; i < chosen.size(); ++i) {
            const Span span = units_[static_cast<size_t>(chosen(i))];
            for (size_t at = span.start; at < span.end; ++at) {
                const int32_t id = ids[rank_[ids_[at]]];
                if (id >= 0) result.ids.push_back(static_cast<uint32_t>(id));
            }
            result.starts.push_back(result.ids.size());
        }
        if (result.ids.size() > UINT32_MAX) throw std::length_error("a block of over 4 billion terms");
        return result;
    }

    const Characters characters_;
    WordScanner scanner_;
    Interner words_;
    std::vector<Interner::Probe> probes_;
    std::vector<uint32_t> ids_;  // of the words of all units, in the order of their first occurrence
    std::vector<Span> units_;
    std::vector<uint32_t> rank_;  // position in the vocabulary by id
};

}  // namespace

void bind_unit_terms(nb::module_& module) {
    nb::class_<UnitTerms>(module, "UnitTerms")
        .def(nb::init<const In<uint8_t>&, const In<uint32_t>&>(), nb::arg("kind"), nb::arg("lower"))
        .def("add", &UnitTerms::add, nb::arg("offsets"), nb::arg("data"))
        .def("put", &UnitTerms::put, nb::arg("unit"), nb::arg("terms"))
        .def("vocabulary", &UnitTerms::vocabulary)
        .def("sequences", &UnitTerms::sequences)
        .def("block", &UnitTerms::block, nb::arg("chosen"), nb::arg("term_ids"), nb::arg("terms"));
}

}  // namespace hornbook
