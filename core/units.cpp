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
    capital = 1024,
};

// What a word can be, in lower case.
enum Rule : uint8_t {
    title = 1,
    numbered = 2,
    uncertain = 4,
    beginner = 8,
    suffix = 16,
    subject = 32,
    labelled = 64,
};

enum class Unit { sentence, line, chunk };

struct Limits {
    Unit unit;
    size_t chunk_words, min_words, max_words;
    bool cut_long;
};

// How many units were of other lengths, and how many words were dropped with them.
struct Others {
    size_t too_short = 0, too_long = 0, words_too_short = 0, words_too_long = 0;
};

// The units of legal length, as Arrow holds texts.
struct Units {
    std::vector<int32_t> offsets{0};
    std::vector<uint8_t> data;
    std::vector<int32_t> words, documents;
    Others others;
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
        const Others others = units.others;
        const bool done = document(text);
        if (!done) {
            units.offsets.resize(count + 1);
            units.words.resize(count);
            units.data.resize(bytes);
            units.others = others;
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
        writing_ = Writing::unknown;
    }

    void end_word() {
        ++words_;
        if (may_stop(text_[size_ - 1])) stops_.push_back({size_, words_});
        text_[size_++] = ' ';
    }

    bool may_stop(char c) const {
        const auto last = static_cast<unsigned char>(c);
        return last >= 128 || kinds_[last] & (end | closing);
    }

    void end_paragraph() {
        words_ += size_ > 0;
        if (limits_.unit == Unit::line) return put({text_.data(), size_}, words_);
        part_tight();
        const std::string_view text(text_.data(), size_);
        size_t start = 0, words = 0;
        for (const Stop& stop : stops_) {
            if (!is_end(text, start, stop.place)) continue;
            sentence(text.substr(start, stop.place - start), stop.words - words);
            start = stop.place + 1;
            words = stop.words;
        }
        sentence(text.substr(start), words_ - words);
    }

    // Puts in the spaces that are missing between sentences: "good.This is".
    void part_tight() {
        const std::string_view text(text_.data(), size_);
        if (text.empty()) return;
        std::vector<size_t> tight;
        for (const char mark : {'.', '!', '?'}) {
            for (size_t i = text.find(mark); i < text.size() - 1; i = text.find(mark, i + 1)) {
                if (is_upper(text[i + 1]) && is_tight(text, i)) tight.push_back(i + 1);
            }
        }
        if (tight.empty()) return;
        std::sort(tight.begin(), tight.end());
        if (text_.size() < size_ + tight.size() + 1) text_.resize(2 * text_.size());
        for (auto place = tight.rbegin(); place != tight.rend(); ++place) {
            std::copy_backward(text_.begin() + *place, text_.begin() + size_, text_.begin() + size_ + 1);
            text_[*place] = ' ';
            ++size_;
        }
        words_ = 1;
        stops_.clear();
        for (size_t i = 0; i < size_; ++i) {
            if (text_[i] != ' ') continue;
            if (may_stop(text_[i - 1])) stops_.push_back({i, words_});
            ++words_;
        }
    }

    void sentence(std::string_view text, size_t words) {
        if (limits_.unit == Unit::sentence) return put(text, words);
        if (held_words_ + words > limits_.chunk_words) end_chunk();
        while (words > limits_.chunk_words) {
            put(first_words(text, limits_.chunk_words), limits_.chunk_words);
            words -= limits_.chunk_words;
        }
        if (!words) return;
        if (held_words_) held_ += ' ';
        held_ += text;
        held_words_ += words;
    }

    // Takes so many words off a text that has more.
    static std::string_view first_words(std::string_view& text, size_t words) {
        size_t size = 0;
        for (size_t i = 0; i < words; ++i) size = text.find(' ', size) + 1;
        const std::string_view first = text.substr(0, size - 1);
        text.remove_prefix(size);
        return first;
    }

    void end_chunk() {
        if (held_words_) put(held_, held_words_);
        held_.clear();
        held_words_ = 0;
    }

    void put(std::string_view text, size_t words) {
        if (words > limits_.max_words) {
            ++units.others.too_long;
            if (!limits_.cut_long) {
                units.others.words_too_long += words;
                return;
            }
            for (; words > limits_.max_words; words -= limits_.max_words) {
                const std::string_view first = first_words(text, limits_.max_words);
                keep(first, limits_.max_words);
            }
        }
        keep(text, words);
    }

    void keep(std::string_view text, size_t words) {
        if (words < limits_.min_words) {
            ++units.others.too_short;
            units.others.words_too_short += words;
            return;
        }
        units.data.insert(units.data.end(), text.begin(), text.end());
        // Units are no longer than their documents, so they fit as well.
        units.offsets.push_back(static_cast<int32_t>(units.data.size()));
        units.words.push_back(static_cast<int32_t>(words));
    }

    // Whether the sentence from `start` ends at the space at `stop`.
    bool is_end(std::string_view text, size_t start, size_t stop) {
        size_t mark = stop;
        do {
            if (mark == start) return false;
            mark = before(text, mark);
        } while (kind(text, mark) & closing);
        if (!(kind(text, mark) & end)) return false;
        size_t after = stop + 1;
        while (after < text.size() && kind(text, after) & opening) after = behind(text, after);
        if (after < text.size() && text[after] == ' ') ++after;
        if (after == text.size()) return false;
        const uint16_t following = kind(text, after);
        const bool alone = mark + 1 == stop;
        if (!(following & begins)) {
            if (!(following & letter)) return false;
            const bool ends = alone && !(mark && text[mark - 1] == '.') && is_lower_case(text);
            if (!ends && !is_next_item(text, after)) return false;
        }
        if (following & digit ? is_year(text, after) : is_suffix(text, after)) return false;
        if (text[mark] != '.' || !alone) return true;

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
        if (first == start && is_item(word)) return false;
        if (rule & numbered && following & digit) return false;
        if (rule & uncertain || are_initials(word)) {
            if (is_label(text, start, mark, word)) return true;
            const size_t past = past_word(text, after);
            const bool initial = past < text.size() && text[past] == '.';
            return !initial && rules_of(text.substr(after, past - after)) & (following & begins ? beginner : subject);
        }
        return true;
    }

    // Whether no sentence of the paragraph begins with a capital, apart from the pronoun "I".
    // Looked for only where it matters, and once: in most texts the first letter tells.
    bool is_lower_case(std::string_view text) {
        if (writing_ == Writing::unknown) writing_ = begins_with_capital(text) ? Writing::usual : Writing::lower;
        return writing_ == Writing::lower;
    }

    // Not inlined: it is rare, and would slow down what is not.
    [[gnu::noinline]] bool begins_with_capital(std::string_view text) const {
        size_t i = 0;
        while (i < text.size() && !is_cased(kind(text, i))) i = behind(text, i);
        if (is_capital(text, i)) return true;
        for (i = 0; i < text.size();) {
            const bool mark = kind(text, i) & end;
            i = behind(text, i);
            if (!mark) continue;
            while (i < text.size() && kind(text, i) & closing) i = behind(text, i);
            if (i == text.size() || text[i] != ' ') continue;
            size_t after = i + 1;
            while (after < text.size() && kind(text, after) & opening) after = behind(text, after);
            if (after < text.size() && text[after] == ' ') ++after;
            if (is_capital(text, after)) return true;
        }
        return false;
    }

    static bool is_cased(uint16_t kind) { return kind & capital || (kind & letter && !(kind & begins)); }

    bool is_capital(std::string_view text, size_t i) const {
        return i < text.size() && kind(text, i) & capital && !is_pronoun(text.substr(i));
    }

    // "I", "I'm": begins a sentence with a capital in lower-case writing too.
    static bool is_pronoun(std::string_view text) {
        if (text.size() < 2 || text[0] != 'I') return false;
        return text[1] == ' ' || text[1] == ',' || text[1] == '\'' || text.substr(1, 3) == "\xE2\x80\x99";
    }

    static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
    static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

    // Whether a sentence ends with the mark at i, between a word in lower case and a pronoun or the like.
    bool is_tight(std::string_view text, size_t i) const {
        size_t start = i;
        while (start && is_lower(text[start - 1])) --start;
        if (i - start < 2) return false;
        if (start && text[start - 1] != ' ' && !(kind(text, before(text, start)) & opening)) return false;
        size_t past = i + 2;
        while (past < text.size() && is_lower(text[past])) ++past;
        return past < text.size() && text[past] == ' ' && rules_of(text.substr(i + 1, past - i - 1)) & subject;
    }

    // Whether an item of a list begins at i: "b. The", "iv) The".
    static bool is_next_item(std::string_view text, size_t i) {
        size_t past = i;
        while (past < text.size() && std::string_view("ivx").find(text[past]) != std::string_view::npos) ++past;
        if (past == i) past += is_lower(text[i]);
        if (past == i || past + 2 >= text.size() || text[past + 1] != ' ') return false;
        return (text[past] == '.' || text[past] == ')') && is_upper(text[past + 2]);
    }

    bool is_year(std::string_view text, size_t i) const {
        for (size_t digits = 0; digits < 4; ++digits, i = behind(text, i)) {
            if (i >= text.size() || !(kind(text, i) & digit)) return false;
        }
        return i < text.size() && text[i] == ')';
    }

    bool is_suffix(std::string_view text, size_t i) const {
        // They are few, and this is asked at every end.
        const auto third = i + 2 < text.size() ? static_cast<char>(text[i + 2] | 32) : ' ';
        if (third != 'c' && third != 'r' && third != 'd') return false;
        return rules_of(text.substr(i, past_word(text, i) - i)) & suffix;
    }

    // Whether a word that ends at `mark` is a label, as in "vitamin C".
    bool is_label(std::string_view text, size_t start, size_t mark, std::string_view word) const {
        if (behind(word, 0) != word.size() || !(kind(word, 0) & capital)) return false;
        const size_t space = text.rfind(' ', mark);
        if (space == text.npos || space < start) return false;
        size_t first = space;
        while (first > start && text[first - 1] != ' ') --first;
        const std::string_view noun = text.substr(first, space - first);
        return std::none_of(noun.begin(), noun.end(), is_upper) && rules_of(noun) & labelled;
    }

    // Whether a word can stand before an item of a list: "1", "2.3", "a", "iv".
    bool is_item(std::string_view word) const {
        for (size_t start = 0;;) {
            size_t past = start, digits = 0, roman = 0, characters = 0;
            for (; past < word.size() && word[past] != '.'; past = behind(word, past), ++characters) {
                digits += (kind(word, past) & digit) > 0;
                roman += std::string_view("ivxIVX").find(word[past]) != std::string_view::npos;
            }
            const bool single = characters == 1 && kind(word, start) & letter;
            if (!characters || !(digits == characters || single || (!start && roman == characters))) return false;
            if (past == word.size()) return true;
            start = past + 1;
        }
    }

    size_t past_word(std::string_view text, size_t i) const {
        while (i < text.size() && kind(text, i) & (letter | digit)) i = behind(text, i);
        return i;
    }

    uint8_t rules_of(std::string_view word) const {
        if (word.size() > longest_) return 0;
        std::string lower(word);
        for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
        const auto found = rules_.find(lower);
        return found == rules_.end() ? 0 : found->second;
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
    enum class Writing { unknown, lower, usual } writing_ = Writing::unknown;
    std::string held_;  // the chunk
    size_t held_words_ = 0;
};

// Cuts texts; returns the units of legal length, and which texts have characters beyond this and so no units.
auto cut_units(const In<int32_t>& offsets, const In<uint8_t>& data, const std::string& unit, size_t chunk_words,
               size_t min_words, size_t max_words, bool cut_long, const In<uint16_t>& kinds, const Rules& rules) {
    const bool line = unit == "line", chunk = unit == "chunk";
    if (!(line || chunk || unit == "sentence") || !chunk_words || !max_words || kinds.size() < 128)
        throw std::invalid_argument("no such unit");
    const Unit kind = line ? Unit::line : chunk ? Unit::chunk : Unit::sentence;
    Cutter cutter(kinds, rules, {kind, chunk_words, min_words, max_words, cut_long});
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
                           give(std::move(units.words)), give(std::move(units.documents)), units.others.too_short,
                           units.others.too_long, units.others.words_too_short, units.others.words_too_long,
                           give(std::move(beyond)));
}

}  // namespace

void bind_units(nb::module_& module) {
    module.def("cut_units", &cut_units, nb::arg("offsets"), nb::arg("data"), nb::arg("unit"), nb::arg("chunk_words"),
               nb::arg("min_words"), nb::arg("max_words"), nb::arg("cut_long"), nb::arg("kinds"), nb::arg("rules"));
}

}  // namespace hornbook
