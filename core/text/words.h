// The words of a text: what the regular expression of hornbook/terms/words.py matches in its lower case.
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "../texts.h"
#include "utf8.h"

namespace hornbook {

// What a character can be in a word, as bits; hornbook/terms/characters.py makes the table.
enum WordKind : uint8_t {
    letter = 1,
    digit = 2,
    underscore = 4,
    mark = 8,
    between_letters = 16,
    between_digits = 32,
    space = 64,
    unusual = 128,  // its lower case is not one character, or depends on its neighbours
};

constexpr uint8_t in_word = letter | digit | underscore;

// Kind and lower case of each character below the size of the tables. Characters beyond are unusual.
struct Characters {
    Characters(const In<uint8_t>& kinds, const In<uint32_t>& lower_case)
        : kind(kinds.data(), kinds.data() + kinds.size()),
          lower(lower_case.data(), lower_case.data() + lower_case.size()) {
        const size_t size = kind.size();
        if (size != lower.size() || size < 128 ||
            std::any_of(lower.begin(), lower.end(), [size](uint32_t c) { return c >= size; }))
            throw std::invalid_argument("tables of characters that do not fit each other");
    }

    std::vector<uint8_t> kind;
    std::vector<uint32_t> lower;
};

// A text in lower case, with the kind of each of its characters, ready to be scanned for words.
class WordScanner {
  public:
    explicit WordScanner(const Characters& characters) : characters_(characters) {}

    // Reads a text of UTF-8; returns false if it has an unusual character. Other bytes are safe, see utf8.h.
    bool read(std::string_view text) {
        size_ = text.size();
        if (bytes_.size() < size_ + 8) {
            bytes_.resize(2 * size_ + 64);
            kinds_.resize(2 * size_ + 64);
        }
        const auto* in = reinterpret_cast<const unsigned char*>(text.data());
        // Local pointers, so that the compiler sees that no byte written is one of them.
        char* const low = bytes_.data();
        unsigned char seen = 0;
        for (size_t i = 0; i < size_; ++i) {
            const unsigned char c = in[i];
            seen |= c;
            low[i] = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        ascii_ = seen < 128;
        if (!ascii_) return read_unicode(text);
        const uint8_t* const kind = characters_.kind.data();
        uint8_t* const kinds = kinds_.data();
        for (size_t i = 0; i < size_; ++i) kinds[i] = kind[static_cast<unsigned char>(low[i])];
        kinds[size_] = 0;
        return true;
    }

    // Calls word(text, start, end) for each word in order and, if `others`, other() for each other visible character
    // that does not join words.
    template <bool others, class Word, class Other>
    void scan(Word word, Other other) const {
        const uint8_t* k = kinds_.data();
        const size_t n = size_;
        size_t i = 0;
        while (i < n) {
            if (!(k[i] & in_word)) {
                if (others && !(k[i] & space) && !ampersand(i)) other();
                ++i;
                continue;
            }
            const size_t start = i;
            while (i < n && k[i] & underscore) ++i;
            if (i == n || !(k[i] & (letter | digit))) {
                if (others) {
                    for (size_t each = start; each < i; ++each) other();
                }
                continue;
            }
            i = skip_word(i);
            for (;;) {
                if (i < n && k[i] & mark) {
                    while (i < n && k[i] & mark) ++i;
                    i = skip_word(i);
                } else if (i + 1 < n && joins(i)) {
                    i = skip_word(i + 1);
                } else {
                    break;
                }
            }
            word(slice(start, i), start, i);
        }
    }

    // Whether an ampersand joins the word from `start` to `end` to another, as in "AT&T".
    bool joined(size_t start, size_t end) const { return ampersand(end) || (start && ampersand(start - 1)); }

  private:
    // Whether character i is an ampersand that joins two words, one of them a single character.
    bool ampersand(size_t i) const {
        if (!i || i + 1 >= size_ || (ascii_ ? bytes_[i] : lower_[starts_[i]]) != '&') return false;
        const uint8_t* k = kinds_.data();
        if (!(k[i - 1] & (letter | digit)) || !(k[i + 1] & (letter | digit))) return false;
        return i == 1 || !(k[i - 2] & in_word) || i + 2 == size_ || !(k[i + 2] & in_word);
    }

    size_t skip_word(size_t i) const {
        const uint8_t* k = kinds_.data();
        while (i < size_ && k[i] & in_word) ++i;
        return i;
    }

    // Whether character i joins its neighbours: an apostrophe in a word, a point in a number.
    bool joins(size_t i) const {
        const uint8_t here = kinds_[i], before = kinds_[i - 1], after = kinds_[i + 1];
        return (here & between_letters && before & (letter | mark) && after & letter) ||
               (here & between_digits && before & digit && after & digit);
    }

    std::string_view slice(size_t start, size_t end) const {
        if (ascii_) return {bytes_.data() + start, end - start};
        return {lower_.data() + starts_[start], starts_[end] - starts_[start]};
    }

    bool read_unicode(std::string_view text) {
        lower_.clear();
        starts_.clear();
        size_t characters = 0;
        for (size_t i = 0; i < text.size();) {
            const auto [c, next] = decode(text, i);
            i = next;
            if (c >= characters_.kind.size()) return false;
            const uint32_t low = characters_.lower[c];
            const uint8_t kind = characters_.kind[low];
            if ((characters_.kind[c] | kind) & unusual) return false;
            starts_.push_back(static_cast<uint32_t>(lower_.size()));
            kinds_[characters++] = kind;
            append_utf8(lower_, low);
        }
        starts_.push_back(static_cast<uint32_t>(lower_.size()));
        size_ = characters;
        kinds_[size_] = 0;
        return true;
    }

    const Characters& characters_;
    std::vector<char> bytes_;       // of an ASCII text, in lower case
    std::vector<uint8_t> kinds_;    // by character
    std::vector<uint32_t> starts_;  // of the characters in lower_
    std::string lower_;             // of any other text, in lower case
    size_t size_ = 0;               // in characters
    bool ascii_ = true;
};

}  // namespace hornbook
