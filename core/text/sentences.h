// Where sentences end. hornbook/corpus/units.py defines the rules and holds the lists of words; they are those of Kiss
// and Strunk, "Unsupervised Multilingual Sentence Boundary Detection", 2006, with fixed lists instead of learned ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "utf8.h"

namespace hornbook::sentences {

// What a character can be, as bits; hornbook/corpus/cutting.py makes the table.
enum CharacterKind : uint16_t {
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

// The lists that hold a word, in lower case, as bits.
enum WordList : uint8_t {
    title = 1,
    numbered = 2,
    uncertain = 4,
    beginner = 8,
    suffix = 16,
    subject = 32,
    labelled = 64,
};

using WordLists = std::unordered_map<std::string, uint8_t>;

// The kind of every character below the size of the table. Characters beyond it are unusual.
struct CharacterKinds {
    const uint16_t* data;
    size_t size;

    uint16_t operator[](uint32_t c) const { return c < size ? data[c] : static_cast<uint16_t>(unusual); }
};

// Finds the ends of sentences in one paragraph after another. Texts are normalised paragraphs, positions count bytes.
class Rules {
  public:
    Rules(CharacterKinds kinds, const WordLists& lists) : kinds_(kinds), lists_(lists) {
        for (const auto& entry : lists_) longest_ = std::max(longest_, entry.first.size());
    }
    Rules(const Rules&) = delete;
    Rules& operator=(const Rules&) = delete;

    void begin_paragraph() { writing_ = Writing::unknown; }

    uint16_t kind(std::string_view text, size_t i) const { return kinds_[decode(text, i).character]; }

    // Whether a sentence may end behind a character with this last byte.
    bool may_end(char last) const {
        const auto byte = static_cast<unsigned char>(last);
        return byte >= 128 || kinds_[byte] & (end | closing);
    }

    // Whether the sentence from `start` ends at the space at `stop`.
    bool is_end(std::string_view text, size_t start, size_t stop) {
        size_t mark = stop;
        do {
            if (mark == start) return false;
            mark = previous_character(text, mark);
        } while (kind(text, mark) & closing);
        if (!(kind(text, mark) & end)) return false;
        const size_t after = skip_opening(text, stop + 1);
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
        return ends_after_word(text, start, mark, after);
    }

    // Whether a sentence ends with the mark at i with no space behind it, as in "good.This is".
    bool is_tight(std::string_view text, size_t i) const {
        if (!is_upper(text[i + 1])) return false;
        size_t start = i;
        while (start && is_lower(text[start - 1])) --start;
        if (i - start < 2) return false;
        if (start && text[start - 1] != ' ' && !(kind(text, previous_character(text, start)) & opening)) return false;
        size_t past = i + 2;
        while (past < text.size() && is_lower(text[past])) ++past;
        return past < text.size() && text[past] == ' ' && lists_of(text.substr(i + 1, past - i - 1)) & subject;
    }

  private:
    static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
    static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

    // Skips opening quotes and brackets, and a space behind them.
    size_t skip_opening(std::string_view text, size_t i) const {
        while (i < text.size() && kind(text, i) & opening) i = next_character(text, i);
        return i < text.size() && text[i] == ' ' ? i + 1 : i;
    }

    // Whether the full stop at `mark` ends the sentence from `start`, given the word before it and what follows.
    bool ends_after_word(std::string_view text, size_t start, size_t mark, size_t after) const {
        size_t first = mark;
        while (first > start) {
            const size_t previous = previous_character(text, first);
            if (text[previous] == ' ' || kind(text, previous) & joint) break;
            first = previous;
        }
        while (first < mark && kind(text, first) & opening) first = next_character(text, first);
        const std::string_view word = text.substr(first, mark - first);
        const uint16_t following = kind(text, after);
        const uint8_t lists = lists_of(word);
        if (lists & title) return false;
        if (first == start && is_item(word)) return false;
        if (lists & numbered && following & digit) return false;
        if (lists & uncertain || are_initials(word)) {
            if (is_label(text, start, mark, word)) return true;
            const size_t past = skip_word(text, after);
            const bool initial = past < text.size() && text[past] == '.';
            return !initial && lists_of(text.substr(after, past - after)) & (following & begins ? beginner : subject);
        }
        return true;
    }

    // Whether no sentence of the paragraph begins with a capital, apart from the pronoun "I".
    // Found out when first needed: in most paragraphs it never is, or the first letter decides.
    bool is_lower_case(std::string_view text) {
        if (writing_ == Writing::unknown) writing_ = begins_with_capital(text) ? Writing::usual : Writing::lower;
        return writing_ == Writing::lower;
    }

    // Not inlined, as it is rare and would slow down its caller.
    [[gnu::noinline]] bool begins_with_capital(std::string_view text) const {
        size_t i = 0;
        while (i < text.size() && !is_cased(kind(text, i))) i = next_character(text, i);
        if (is_capital(text, i)) return true;
        for (i = 0; i < text.size();) {
            const bool mark = kind(text, i) & end;
            i = next_character(text, i);
            if (!mark) continue;
            while (i < text.size() && kind(text, i) & closing) i = next_character(text, i);
            if (i < text.size() && text[i] == ' ' && is_capital(text, skip_opening(text, i + 1))) return true;
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

    // Whether an item of a list begins at i: "b. The", "iv) The".
    static bool is_next_item(std::string_view text, size_t i) {
        size_t past = i;
        while (past < text.size() && std::string_view("ivx").find(text[past]) != std::string_view::npos) ++past;
        if (past == i) past += is_lower(text[i]);
        if (past == i || past + 2 >= text.size() || text[past + 1] != ' ') return false;
        return (text[past] == '.' || text[past] == ')') && is_upper(text[past + 2]);
    }

    bool is_year(std::string_view text, size_t i) const {
        for (size_t digits = 0; digits < 4; ++digits, i = next_character(text, i)) {
            if (i >= text.size() || !(kind(text, i) & digit)) return false;
        }
        return i < text.size() && text[i] == ')';
    }

    // Whether "inc", "corp", "ltd", "llc" or "plc" is at i.
    bool is_suffix(std::string_view text, size_t i) const {
        // Their third letter rejects nearly all words.
        const auto third = i + 2 < text.size() ? static_cast<char>(text[i + 2] | 32) : ' ';
        if (third != 'c' && third != 'r' && third != 'd') return false;
        return lists_of(text.substr(i, skip_word(text, i) - i)) & suffix;
    }

    // Whether the word that ends at `mark` is a label, as in "vitamin C".
    bool is_label(std::string_view text, size_t start, size_t mark, std::string_view word) const {
        if (word.empty() || next_character(word, 0) != word.size() || !(kind(word, 0) & capital)) return false;
        const size_t gap = text.rfind(' ', mark);
        if (gap == text.npos || gap < start) return false;
        size_t first = gap;
        while (first > start && text[first - 1] != ' ') --first;
        const std::string_view noun = text.substr(first, gap - first);
        return std::none_of(noun.begin(), noun.end(), is_upper) && lists_of(noun) & labelled;
    }

    // Whether a word can number an item of a list: "1", "2.3", "a", "iv".
    bool is_item(std::string_view word) const {
        for (size_t start = 0;;) {
            size_t past = start, digits = 0, roman = 0, characters = 0;
            for (; past < word.size() && word[past] != '.'; past = next_character(word, past), ++characters) {
                digits += (kind(word, past) & digit) > 0;
                roman += std::string_view("ivxIVX").find(word[past]) != std::string_view::npos;
            }
            const bool single = characters == 1 && kind(word, start) & letter;
            if (!characters || !(digits == characters || single || (!start && roman == characters))) return false;
            if (past == word.size()) return true;
            start = past + 1;
        }
    }

    size_t skip_word(std::string_view text, size_t i) const {
        while (i < text.size() && kind(text, i) & (letter | digit)) i = next_character(text, i);
        return i;
    }

    uint8_t lists_of(std::string_view word) const {
        if (word.size() > longest_) return 0;
        std::string lower(word);
        for (char& c : lower) c = static_cast<char>(is_upper(c) ? c + 32 : c);
        const auto entry = lists_.find(lower);
        return entry == lists_.end() ? 0 : entry->second;
    }

    // Whether a word is a letter, or several with full stops between them.
    bool are_initials(std::string_view word) const {
        for (size_t i = 0; i < word.size(); ++i) {
            if (!(kind(word, i) & letter)) return false;
            i = next_character(word, i);
            if (i == word.size()) return true;
            if (word[i] != '.') return false;
        }
        return false;
    }

    const CharacterKinds kinds_;
    const WordLists& lists_;
    size_t longest_ = 0;  // word of the lists
    enum class Writing { unknown, lower, usual } writing_ = Writing::unknown;
};

}  // namespace hornbook::sentences
