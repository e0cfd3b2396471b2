// Keywords of many texts by RAKE: Rose, Engel, Cramer and Cowley, "Automatic keyword extraction from individual
// documents", 2010, sections 1.2.1 to 1.2.3. hornbook/retrieval/rake.py defines the results.
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "../bindings.h"
#include "../interner.h"
#include "../texts.h"
#include "words.h"

namespace hornbook {
namespace {

// One thread at a time may use it.
class Keywords {
  public:
    Keywords(const In<uint8_t>& kind, const In<uint32_t>& lower, const In<int32_t>& stop_offsets,
             const In<uint8_t>& stop_data)
        : characters_(kind, lower), scanner_(characters_) {
        const Texts stop_words(stop_offsets, stop_data);
        for (size_t i = 0; i < stop_words.size; ++i) words_.intern(stop_words[i]);
        stop_words_ = words_.size();
    }
    Keywords(const Keywords&) = delete;
    Keywords& operator=(const Keywords&) = delete;

    // Returns the terms of the `best` phrases of each text, or with `best` 0 all terms that are not stop words: where
    // the terms of each text end, the terms as Arrow offsets and data, and the texts with unusual characters, which
    // get no terms.
    auto of(const In<int32_t>& offsets, const In<uint8_t>& data, size_t best) {
        Result result;
        {
            nb::gil_scoped_release release;
            const Texts texts(offsets, data);
            for (size_t i = 0; i < texts.size; ++i) {
                if (!scanner_.read(texts[i])) {
                    result.unusual.push_back(i);
                } else if (best) {
                    find_phrases();
                    keep_best(best);
                    for (const Phrase& phrase : phrases_)
                        for (size_t at = phrase.start; at < phrase.end; ++at) result.add(words_[terms_[at]]);
                } else {
                    scanner_.scan<false>(
                        [&](std::string_view word, size_t start, size_t end) {
                            if (!is_stop_word(words_.intern(word), start, end)) result.add(word);
                        },
                        [] {});
                }
                result.text_ends.push_back(static_cast<int64_t>(result.term_offsets.size() - 1));
            }
        }
        return std::make_tuple(give(std::move(result.text_ends)), give(std::move(result.term_offsets)),
                               give(std::move(result.terms)), std::move(result.unusual));
    }

  private:
    struct Result {
        std::vector<int64_t> text_ends;
        std::vector<int32_t> term_offsets{0};
        std::vector<uint8_t> terms;
        std::vector<size_t> unusual;

        void add(std::string_view term) {
            terms.insert(terms.end(), term.begin(), term.end());
            if (terms.size() > INT32_MAX) throw std::length_error("keywords of over 2 GB at once");
            term_offsets.push_back(static_cast<int32_t>(terms.size()));
        }
    };

    // A candidate keyword: terms_[start] up to terms_[end].
    struct Phrase {
        size_t start, end;
        double score;
    };

    // Occurrences of a term in the candidates of a text, and the summed lengths of these candidates.
    struct Counts {
        uint64_t frequency = 0, degree = 0;
    };

    bool is_stop_word(uint32_t term, size_t start, size_t end) const {
        return term < stop_words_ && !scanner_.joined(start, end);
    }

    // Cuts the text at stop words and punctuation into candidates.
    void find_phrases() {
        terms_.clear();
        phrases_.clear();
        size_t start = 0;
        const auto end_phrase = [&] {
            if (start == terms_.size()) return;
            phrases_.push_back({start, terms_.size(), 0.0});
            start = terms_.size();
        };
        scanner_.scan<true>(
            [&](std::string_view word, size_t from, size_t to) {
                const uint32_t term = words_.intern(word);
                if (is_stop_word(term, from, to))
                    end_phrase();
                else
                    terms_.push_back(term);
            },
            end_phrase);
        end_phrase();
    }

    // Scores the candidates, a term by degree / frequency and a phrase by the sum over its terms, and keeps the `best`.
    void keep_best(size_t best) {
        counts_.resize(words_.size());
        for (const Phrase& phrase : phrases_) {
            for (size_t at = phrase.start; at < phrase.end; ++at) {
                Counts& counts = counts_[terms_[at]];
                ++counts.frequency;
                counts.degree += phrase.end - phrase.start;
            }
        }
        for (Phrase& phrase : phrases_) {
            for (size_t at = phrase.start; at < phrase.end; ++at) {
                const Counts& counts = counts_[terms_[at]];
                phrase.score += static_cast<double>(counts.degree) / static_cast<double>(counts.frequency);
            }
        }
        for (const uint32_t term : terms_) counts_[term] = {};
        std::sort(phrases_.begin(), phrases_.end(), [&](const Phrase& a, const Phrase& b) {
            return a.score != b.score ? a.score > b.score : is_after(a, b);
        });
        if (phrases_.size() > best) phrases_.resize(best);
    }

    // Whether a's text sorts after b's. Term by term, as a space sorts before every character of a term.
    bool is_after(const Phrase& a, const Phrase& b) const {
        size_t i = a.start, j = b.start;
        while (i < a.end && j < b.end && terms_[i] == terms_[j]) ++i, ++j;
        if (i == a.end || j == b.end) return i < a.end;
        return words_[terms_[i]] > words_[terms_[j]];
    }

    const Characters characters_;
    WordScanner scanner_;
    Interner words_;
    uint32_t stop_words_;  // they are the first words
    std::vector<uint32_t> terms_;
    std::vector<Phrase> phrases_;
    std::vector<Counts> counts_;  // by term, zero between texts
};

}  // namespace

void bind_keywords(nb::module_& module) {
    nb::class_<Keywords>(module, "Keywords")
        .def(nb::init<const In<uint8_t>&, const In<uint32_t>&, const In<int32_t>&, const In<uint8_t>&>(),
             nb::arg("kind"), nb::arg("lower"), nb::arg("stop_offsets"), nb::arg("stop_data"))
        .def("of", &Keywords::of, nb::arg("offsets"), nb::arg("data"), nb::arg("best"));
}

}  // namespace hornbook
