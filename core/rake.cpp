// Keywords of many texts: hornbook/retrieval/rake.py says what they are.
#include "rake.h"

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "numbering.h"
#include "texts.h"
#include "words.h"

namespace hornbook {
namespace {

class Keywords {
  public:
    Keywords(const In<uint8_t>& kind, const In<uint32_t>& lower, const In<int32_t>& stop_offsets,
             const In<uint8_t>& stop_data)
        : characters_(characters(kind, lower)), text_(characters_) {
        const Texts stop_words(stop_offsets, stop_data);
        for (size_t i = 0; i < stop_words.size; ++i) numbers_(stop_words[i]);
        stop_words_ = numbers_.size();
    }

    // The terms of the `best` phrases of every text, or with `best` 0 all its terms that are no stop words: where the
    // terms of each text end, the terms as Arrow holds texts, and which texts have unusual characters and so no terms.
    auto of(const In<int32_t>& offsets, const In<uint8_t>& data, size_t best) {
        Found found;
        {
            nb::gil_scoped_release release;
            const Texts texts(offsets, data);
            for (size_t i = 0; i < texts.size; ++i) {
                if (!text_.read(texts[i])) {
                    found.unusual.push_back(i);
                } else if (best) {
                    cut();
                    rank(best);
                    for (const Phrase& phrase : phrases_)
                        for (size_t at = phrase.start; at < phrase.end; ++at) found.put(numbers_[terms_[at]]);
                } else {
                    text_.scan<false>(
                        [&](std::string_view word, size_t start, size_t end) {
                            if (numbers_(word) >= stop_words_ || text_.joined(start, end)) found.put(word);
                        },
                        [] {});
                }
                found.text_ends.push_back(static_cast<int64_t>(found.term_offsets.size() - 1));
            }
        }
        return std::make_tuple(give(std::move(found.text_ends)), give(std::move(found.term_offsets)),
                               give(std::move(found.terms)), std::move(found.unusual));
    }

  private:
    struct Found {
        std::vector<int64_t> text_ends;
        std::vector<int32_t> term_offsets{0};
        std::vector<uint8_t> terms;
        std::vector<size_t> unusual;

        void put(std::string_view term) {
            terms.insert(terms.end(), term.begin(), term.end());
            if (terms.size() > INT32_MAX) throw std::length_error("keywords of over 2 GB at once");
            term_offsets.push_back(static_cast<int32_t>(terms.size()));
        }
    };

    // The terms from `start` to before `end`.
    struct Phrase {
        size_t start, end;
        double score;
    };

    // How often a term stands in the phrases of a text, and the lengths of these phrases together.
    struct Counts {
        uint64_t frequency = 0, degree = 0;
    };

    // Cuts the text that was read into phrases.
    void cut() {
        terms_.clear();
        phrases_.clear();
        size_t start = 0;
        const auto end_phrase = [&] {
            if (start == terms_.size()) return;
            phrases_.push_back({start, terms_.size(), 0.0});
            start = terms_.size();
        };
        text_.scan<true>(
            [&](std::string_view word, size_t from, size_t to) {
                const uint32_t term = numbers_(word);
                if (term < stop_words_ && !text_.joined(from, to)) {
                    end_phrase();
                } else {
                    terms_.push_back(term);
                }
            },
            end_phrase);
        end_phrase();
    }

    // Leaves the `best` phrases, best first.
    void rank(size_t best) {
        counts_.resize(numbers_.size());
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
            return a.score != b.score ? a.score > b.score : after(a, b);
        });
        if (phrases_.size() > best) phrases_.resize(best);
    }

    // Whether a's text comes after b's in the alphabet. Term by term, for a space sorts before all that is in terms.
    bool after(const Phrase& a, const Phrase& b) const {
        size_t i = a.start, j = b.start;
        while (i < a.end && j < b.end && terms_[i] == terms_[j]) ++i, ++j;
        if (i == a.end || j == b.end) return i < a.end;
        return numbers_[terms_[i]] > numbers_[terms_[j]];
    }

    const Characters characters_;
    Lowered text_;
    Numbering numbers_;
    uint32_t stop_words_;
    std::vector<uint32_t> terms_;
    std::vector<Phrase> phrases_;
    std::vector<Counts> counts_;
};

}  // namespace

void bind_rake(nb::module_& module) {
    nb::class_<Keywords>(module, "Keywords")
        .def(nb::init<const In<uint8_t>&, const In<uint32_t>&, const In<int32_t>&, const In<uint8_t>&>(), nb::arg("kind"),
             nb::arg("lower"), nb::arg("stop_offsets"), nb::arg("stop_data"))
        .def("of", &Keywords::of, nb::arg("offsets"), nb::arg("data"), nb::arg("best"));
}

}  // namespace hornbook
