// Documents to units: normalised text, cut to sentences, lines or chunks. hornbook/corpus/units.py defines the results.
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unordered_map.h>

#include <algorithm>
#include <cassert>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "../bindings.h"
#include "../texts.h"
#include "sentences.h"

namespace hornbook {
namespace {

enum class UnitKind { sentence, line, chunk };

struct Limits {
    UnitKind unit;
    size_t chunk_words, min_words, max_words;
    bool cut_long;
};

// Units of other lengths, and the words that were dropped with them.
struct Dropped {
    size_t too_short = 0, too_long = 0, words_too_short = 0, words_too_long = 0;
};

// The units of legal length, as Arrow offsets and data.
struct Units {
    std::vector<int32_t> offsets{0};
    std::vector<uint8_t> data;
    std::vector<int32_t> words, documents;
    Dropped dropped;
};

// Cuts documents one after another.
class Cutter {
  public:
    Cutter(const sentences::CharacterKinds& kinds, const sentences::WordLists& lists, const Limits& limits)
        : kinds_(kinds), rules_(kinds, lists), limits_(limits) {
        using namespace sentences;
        for (uint32_t c = 0; c < 128; ++c) plain_[c] = !(kinds_[c] & (space | unseen | unusual));
    }
    Cutter(const Cutter&) = delete;
    Cutter& operator=(const Cutter&) = delete;

    // Adds the units of a document; returns false, and adds none, if it has an unusual character.
    bool add(std::string_view text, size_t document) {
        const size_t count = units.words.size(), bytes = units.data.size();
        const Dropped dropped = units.dropped;
        const bool done = cut(text);
        if (!done) {
            units.offsets.resize(count + 1);
            units.words.resize(count);
            units.data.resize(bytes);
            units.dropped = dropped;
        }
        units.documents.resize(units.words.size(), static_cast<int32_t>(document));
        return done;
    }

    Units units;

  private:
    // A space behind a character that may end a sentence, and the number of words before it.
    struct Stop {
        size_t position, words;
    };

    // Normalises a document paragraph by paragraph. Normalised text is never longer than its source.
    bool cut(std::string_view in) {
        if (text_.size() < in.size() + 1) text_.resize(2 * in.size() + 64);
        chunk_.clear();
        chunk_words_ = 0;
        begin_paragraph();
        bool gap = false;
        for (size_t i = 0; i < in.size();) {
            const size_t start = i;
            const auto [character, next] = decode(in, i);
            const uint16_t kind = kinds_[character];
            i = next;
            if (kind & sentences::unusual) return false;
            if (kind & sentences::unseen) continue;
            if (kind & sentences::space) {
                i = start;
                if (skip_spaces(in, i)) {
                    end_paragraph();
                    begin_paragraph();
                }
                gap = true;
                continue;
            }
            if (gap && size_) end_word();
            gap = false;
            std::copy(in.begin() + start, in.begin() + i, text_.begin() + size_);
            size_ += i - start;
            // A fast path for the common case: plain characters with single spaces between words.
            for (;;) {
                for (; i < in.size() && plain(in[i]); ++i) text_[size_++] = in[i];
                if (i + 1 >= in.size() || in[i] != ' ' || !plain(in[i + 1])) break;
                end_word();
                ++i;
            }
        }
        assert(size_ <= in.size());
        end_paragraph();
        if (limits_.unit == UnitKind::chunk) end_chunk();
        return true;
    }

    bool plain(char c) const { return plain_[static_cast<unsigned char>(c)]; }

    // Skips white space; returns whether it holds a blank line, which ends a paragraph.
    bool skip_spaces(std::string_view in, size_t& i) const {
        size_t lines = 0;
        while (i < in.size()) {
            const auto [character, next] = decode(in, i);
            if (!(kinds_[character] & sentences::space)) break;
            lines += in[i] == '\n';
            i = next;
        }
        return lines > 1;
    }

    void begin_paragraph() {
        size_ = 0;
        words_ = 0;
        stops_.clear();
        rules_.begin_paragraph();
    }

    void end_word() {
        ++words_;
        if (rules_.may_end(text_[size_ - 1])) stops_.push_back({size_, words_});
        text_[size_++] = ' ';
    }

    void end_paragraph() {
        words_ += size_ > 0;
        if (limits_.unit == UnitKind::line) return add_unit({text_.data(), size_}, words_);
        separate_tight();
        const std::string_view text(text_.data(), size_);
        size_t start = 0, words = 0;
        for (const Stop& stop : stops_) {
            if (!rules_.is_end(text, start, stop.position)) continue;
            add_sentence(text.substr(start, stop.position - start), stop.words - words);
            start = stop.position + 1;
            words = stop.words;
        }
        add_sentence(text.substr(start), words_ - words);
    }

    // Inserts the spaces that are missing between sentences: "good.This is".
    void separate_tight() {
        const std::string_view text(text_.data(), size_);
        if (text.empty()) return;
        std::vector<size_t> tight;
        for (const char mark : {'.', '!', '?'}) {
            for (size_t i = text.find(mark); i < text.size() - 1; i = text.find(mark, i + 1)) {
                if (rules_.is_tight(text, i)) tight.push_back(i + 1);
            }
        }
        if (tight.empty()) return;
        std::sort(tight.begin(), tight.end());
        if (text_.size() < size_ + tight.size() + 1) text_.resize(2 * text_.size());
        for (auto at = tight.rbegin(); at != tight.rend(); ++at) {
            std::copy_backward(text_.begin() + *at, text_.begin() + size_, text_.begin() + size_ + 1);
            text_[*at] = ' ';
            ++size_;
        }
        words_ = 1;
        stops_.clear();
        for (size_t i = 0; i < size_; ++i) {
            if (text_[i] != ' ') continue;
            if (rules_.may_end(text_[i - 1])) stops_.push_back({i, words_});
            ++words_;
        }
    }

    void add_sentence(std::string_view text, size_t words) {
        if (limits_.unit == UnitKind::sentence) return add_unit(text, words);
        if (chunk_words_ + words > limits_.chunk_words) end_chunk();
        while (words > limits_.chunk_words) {
            add_unit(take_words(text, limits_.chunk_words), limits_.chunk_words);
            words -= limits_.chunk_words;
        }
        if (!words) return;
        if (chunk_words_) chunk_ += ' ';
        chunk_ += text;
        chunk_words_ += words;
    }

    // Removes the first words of a text that has more, and returns them.
    static std::string_view take_words(std::string_view& text, size_t words) {
        size_t size = 0;
        for (size_t i = 0; i < words; ++i) size = text.find(' ', size) + 1;
        assert(size);
        const std::string_view first = text.substr(0, size - 1);
        text.remove_prefix(size);
        return first;
    }

    void end_chunk() {
        if (chunk_words_) add_unit(chunk_, chunk_words_);
        chunk_.clear();
        chunk_words_ = 0;
    }

    void add_unit(std::string_view text, size_t words) {
        if (words > limits_.max_words) {
            ++units.dropped.too_long;
            if (!limits_.cut_long) {
                units.dropped.words_too_long += words;
                return;
            }
            for (; words > limits_.max_words; words -= limits_.max_words) {
                keep(take_words(text, limits_.max_words), limits_.max_words);
            }
        }
        keep(text, words);
    }

    void keep(std::string_view text, size_t words) {
        if (words < limits_.min_words) {
            ++units.dropped.too_short;
            units.dropped.words_too_short += words;
            return;
        }
        units.data.insert(units.data.end(), text.begin(), text.end());
        if (units.data.size() > INT32_MAX) throw std::length_error("units of over 2 GB at once");
        units.offsets.push_back(static_cast<int32_t>(units.data.size()));
        units.words.push_back(static_cast<int32_t>(words));
    }

    const sentences::CharacterKinds kinds_;
    sentences::Rules rules_;
    const Limits limits_;
    bool plain_[256] = {};

    std::vector<char> text_;  // the paragraph, normalised
    size_t size_ = 0, words_ = 0;
    std::vector<Stop> stops_;
    std::string chunk_;
    size_t chunk_words_ = 0;
};

// Cuts documents; returns the units of legal length, and the documents with unusual characters, which get no units.
auto cut_units(const In<int32_t>& offsets, const In<uint8_t>& data, const std::string& unit, size_t chunk_words,
               size_t min_words, size_t max_words, bool cut_long, const In<uint16_t>& kinds,
               const sentences::WordLists& rules) {
    const bool line = unit == "line", chunk = unit == "chunk";
    if (!(line || chunk || unit == "sentence") || !chunk_words || !max_words || kinds.size() < 128)
        throw std::invalid_argument("an unknown unit, or limits that allow none");
    const UnitKind kind = line ? UnitKind::line : chunk ? UnitKind::chunk : UnitKind::sentence;
    Cutter cutter({kinds.data(), kinds.size()}, rules, {kind, chunk_words, min_words, max_words, cut_long});
    std::vector<int32_t> unusual;
    {
        nb::gil_scoped_release release;
        const Texts texts(offsets, data);
        for (size_t i = 0; i < texts.size; ++i) {
            if (!cutter.add(texts[i], i)) unusual.push_back(static_cast<int32_t>(i));
        }
    }
    Units& units = cutter.units;
    return std::make_tuple(give(std::move(units.offsets)), give(std::move(units.data)), give(std::move(units.words)),
                           give(std::move(units.documents)), units.dropped.too_short, units.dropped.too_long,
                           units.dropped.words_too_short, units.dropped.words_too_long, give(std::move(unusual)));
}

}  // namespace

void bind_units(nb::module_& module) {
    module.def("cut_units", &cut_units, nb::arg("offsets"), nb::arg("data"), nb::arg("unit"), nb::arg("chunk_words"),
               nb::arg("min_words"), nb::arg("max_words"), nb::arg("cut_long_units"), nb::arg("kinds"),
               nb::arg("rules"));
}

}  // namespace hornbook
