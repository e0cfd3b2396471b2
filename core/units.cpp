// Documents to units: hornbook/corpus/units.py says what they are, and gives the rules.
#include "units.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unordered_map.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

#include "texts.h"

namespace hornbook {
namespace {

// What a character can be; hornbook/corpus/cutting.py says it of each.
enum Kind : uint16_t {
    space = 1,
    unseen = 2,
    unusual = 4,  // text with it may not be in composed form
    end = 8,
    closing = 16,
    opening = 32,
    begins = 64,  // can begin a sentence
    letter = 128,
    digit = 256,
    joint = 512,
};

// What a word can be, in lower case.
enum Rule : uint8_t { title = 1, numbered = 2, uncertain = 4, beginner = 8 };

enum class Unit { sentence, line, chunk };

struct Limits {
    Unit unit;
    size_t chunk_words, min_words, max_words;
};

// The units of legal length, as Arrow holds texts, and how many others there were.
struct Units {
    std::vector<int32_t> offsets{0};
    std::vector<uint8_t> data;
    std::vector<int32_t> words, documents;
    size_t too_short = 0, too_long = 0;
};

using Rules = std::unordered_map<std::string, uint8_t>;

// Cuts one document after another.
class Cutter {
  public:
    Cutter(const In<uint16_t>& kinds, const Rules& rules, const Limits& limits)
        : kinds_(kinds.data()), size_of_kinds_(kinds.size()), rules_(rules), limits_(limits) {
        for (const auto& [word, rule] : rules_) longest_ = std::max(longest_, word.size());
        for (size_t c = 0; c < 128; ++c) plain_[c] = !(kinds_[c] & (space | unseen | unusual));
    }

    // Takes in the units of document number i; false, and none of them, where it has a character beyond this.
    bool add(std::string_view text, size_t i) {
        const size_t count = units.words.size(), bytes = units.data.size();
        const size_t too_short = units.too_short, too_long = units.too_long;
        const bool done = document(text);
        if (!done) {
            units.offsets.resize(count + 1);
            units.words.resize(count);
            units.data.resize(bytes);
            units.too_short = too_short;
            units.too_long = too_long;
        }
        units.documents.resize(units.words.size(), static_cast<int32_t>(i));
        return done;
    }

    Units units;

  private:
    // A space behind something that may end a sentence, and the words before it.
    struct Stop {
        size_t place, words;
    };

    // Cuts a document; false where it has a character that is beyond this.
    bool document(std::string_view in) {
        if (text_.size() < in.size() + 1) text_.resize(2 * in.size() + 64);
        held_.clear();
        held_words_ = 0;
        begin_paragraph();
        bool gap = false;
        for (size_t i = 0; i < in.size();) {
            const size_t start = i;
            const auto [kind, next] = decode(in, i);
            i = next;
            if (kind & unusual) return false;
            if (kind & unseen) continue;
            if (kind & space) {
                i = start;
                if (blank(in, i)) {
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
            // The common case again, for speed: plain words with single spaces between them.
            for (;;) {
                for (; i < in.size() && plain(in[i]); ++i) text_[size_++] = in[i];
                if (i + 1 >= in.size() || in[i] != ' ' || !plain(in[i + 1])) break;
                end_word();
                ++i;
            }
        }
        end_paragraph();
        if (limits_.unit == Unit::chunk) end_chunk();
        return true;
    }

    bool plain(char c) const { return plain_[static_cast<unsigned char>(c)]; }

    // Goes past white space; tells whether it parts paragraphs.
    bool blank(std::string_view in, size_t& i) const {
        size_t lines = 0;
        while (i < in.size()) {
            const auto [kind, next] = decode(in, i);
            if (!(kind & space)) break;
            lines += in[i] == '\n';
            i = next;
        }
        return lines > 1;
    }

    void begin_paragraph() {
        size_ = 0;
        words_ = 0;
        stops_.clear();
    }

    void end_word() {
        ++words_;
        const auto last = static_cast<unsigned char>(text_[size_ - 1]);
        if (last >= 128 || kinds_[last] & (end | closing)) stops_.push_back({size_, words_});
        text_[size_++] = ' ';
    }

    void end_paragraph() {
        words_ += size_ > 0;
        const std::string_view text(text_.data(), size_);
        if (limits_.unit == Unit::line) return put(text, words_);
        size_t start = 0, words = 0;
        for (const Stop& stop : stops_) {
            if (!is_end(text, start, stop.place)) continue;
            sentence(text.substr(start, stop.place - start), stop.words - words);
            start = stop.place + 1;
            words = stop.words;
        }
        sentence(text.substr(start), words_ - words);
    }

    void sentence(std::string_view text, size_t words) {
        if (limits_.unit == Unit::sentence) return put(text, words);
        if (held_words_ + words > limits_.chunk_words) end_chunk();
        for (; words > limits_.chunk_words; words -= limits_.chunk_words) {
            size_t size = 0;
            for (size_t i = 0; i < limits_.chunk_words; ++i) size = text.find(' ', size) + 1;
            put(text.substr(0, size - 1), limits_.chunk_words);
            text.remove_prefix(size);
        }
        if (!words) return;
        if (held_words_) held_ += ' ';
        held_ += text;
        held_words_ += words;
    }

    void end_chunk() {
        if (held_words_) put(held_, held_words_);
        held_.clear();
        held_words_ = 0;
    }

    void put(std::string_view text, size_t words) {
        if (words < limits_.min_words) {
            ++units.too_short;
        } else if (words > limits_.max_words) {
            ++units.too_long;
        } else {
            units.data.insert(units.data.end(), text.begin(), text.end());
            // Units are no longer than their documents, so they fit as well.
            units.offsets.push_back(static_cast<int32_t>(units.data.size()));
            units.words.push_back(static_cast<int32_t>(words));
        }
    }

    // Whether the sentence from `start` ends at the space at `stop`.
    bool is_end(std::string_view text, size_t start, size_t stop) const {
        size_t mark = stop;
        do {
            if (mark == start) return false;
            mark = before(text, mark);
        } while (kind(text, mark) & closing);
        if (!(kind(text, mark) & end)) return false;
        size_t after = stop + 1;
        while (after < text.size() && kind(text, after) & opening) after = behind(text, after);
        if (after < text.size() && text[after] == ' ') ++after;
        if (after == text.size() || !(kind(text, after) & begins)) return false;
        if (text[mark] != '.' || mark + 1 != stop) return true;

        size_t first = mark;
        while (first > start) {
            const size_t previous = before(text, first);
            if (text[previous] == ' ' || kind(text, previous) & joint) break;
            first = previous;
        }
        while (first < mark && kind(text, first) & opening) first = behind(text, first);
        const std::string_view word = text.substr(first, mark - first);
        const uint8_t rule = rules_of(word);
        if (rule & title) return false;
        if (is_number(word)) return first > start;
        if (rule & numbered && kind(text, after) & digit) return false;
        if (rule & uncertain || are_initials(word)) {
            size_t past = after;
            while (past < text.size() && kind(text, past) & (letter | digit)) past = behind(text, past);
            const bool initial = past < text.size() && text[past] == '.';
            return !initial && rules_of(text.substr(after, past - after)) & beginner;
        }
        return true;
    }

    uint8_t rules_of(std::string_view word) const {
        if (word.size() > longest_) return 0;
        std::string lower(word);
        for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
        const auto found = rules_.find(lower);
        return found == rules_.end() ? 0 : found->second;
    }

    bool is_number(std::string_view word) const {
        for (size_t i = 0; i < word.size(); i = behind(word, i)) {
            if (!(kind(word, i) & digit)) return false;
        }
        return !word.empty();
    }

    // Whether it is a letter, or several with full stops between them.
    bool are_initials(std::string_view word) const {
        for (size_t i = 0; i < word.size(); ++i) {
            if (!(kind(word, i) & letter)) return false;
            i = behind(word, i);
            if (i == word.size()) return true;
            if (word[i] != '.') return false;
        }
        return false;
    }

    struct Decoded {
        uint16_t kind;
        size_t next;
    };

    Decoded decode(std::string_view text, size_t i) const {
        uint32_t c = static_cast<unsigned char>(text[i]);
        if (c < 0x80) return {kinds_[c], i + 1};
        const size_t more = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
        if (i + more >= text.size()) return {unusual, text.size()};
        c &= 0x3Fu >> more;
        for (size_t j = 1; j <= more; ++j) c = c << 6 | (static_cast<unsigned char>(text[i + j]) & 0x3Fu);
        return {c < size_of_kinds_ ? kinds_[c] : static_cast<uint16_t>(unusual), i + more + 1};
    }

    uint16_t kind(std::string_view text, size_t i) const { return decode(text, i).kind; }

    static bool inside(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

    // Where the next character stands, and the one before.
    static size_t behind(std::string_view text, size_t i) {
        do ++i;
        while (i < text.size() && inside(text[i]));
        return i;
    }

    static size_t before(std::string_view text, size_t i) {
        do --i;
        while (i > 0 && inside(text[i]));
        return i;
    }

    const uint16_t* const kinds_;
    const size_t size_of_kinds_;
    const Rules& rules_;
    const Limits limits_;
    size_t longest_ = 0;
    bool plain_[256] = {};

    std::vector<char> text_;  // the paragraph, normalised
    size_t size_ = 0, words_ = 0;
    std::vector<Stop> stops_;
    std::string held_;  // the chunk
    size_t held_words_ = 0;
};

// Cuts texts; returns the units of legal length, and which texts have characters beyond this and so no units.
auto cut_units(const In<int32_t>& offsets, const In<uint8_t>& data, const std::string& unit, size_t chunk_words,
               size_t min_words, size_t max_words, const In<uint16_t>& kinds, const Rules& rules) {
    const bool line = unit == "line", chunk = unit == "chunk";
    if (!(line || chunk || unit == "sentence") || !chunk_words || kinds.size() < 128)
        throw std::invalid_argument("no such unit");
    const Unit kind = line ? Unit::line : chunk ? Unit::chunk : Unit::sentence;
    Cutter cutter(kinds, rules, {kind, chunk_words, min_words, max_words});
    std::vector<int32_t> beyond;
    {
        nb::gil_scoped_release release;
        const Texts texts(offsets, data);
        for (size_t i = 0; i < texts.size; ++i) {
            if (!cutter.add(texts[i], i)) beyond.push_back(static_cast<int32_t>(i));
        }
    }
    Units& units = cutter.units;
    return std::make_tuple(give(std::move(units.offsets)), give(std::move(units.data)),
                           give(std::move(units.words)), give(std::move(units.documents)), units.too_short,
                           units.too_long, give(std::move(beyond)));
}

}  // namespace

void bind_units(nb::module_& module) {
    module.def("cut_units", &cut_units, nb::arg("offsets"), nb::arg("data"), nb::arg("unit"), nb::arg("chunk_words"),
               nb::arg("min_words"), nb::arg("max_words"), nb::arg("kinds"), nb::arg("rules"));
}

}  // namespace hornbook
