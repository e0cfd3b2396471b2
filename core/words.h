// Words of a text, the same as the regular expression of hornbook/terms/words.py finds, which defines them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hornbook {

// What a character can be in a word; `Characters` says it of each.
enum Kind : uint8_t {
    letter = 1,
    digit = 2,
    underscore = 4,
    mark = 8,
    between_letters = 16,
    between_digits = 32,
    space = 64,
    unusual = 128,  // its lower case is not one character, or hangs on what stands beside it
};

constexpr uint8_t in_word = letter | digit | underscore;

// Kinds and lower case of the characters below `size`; those beyond are unusual.
struct Characters {
    std::vector<uint8_t> kind;
    std::vector<uint32_t> lower;
};

// A text in lower case, and the kind and place of each of its characters.
class Lowered {
  public:
    explicit Lowered(const Characters& characters) : characters_(characters) {}

    // Takes in a text of valid UTF-8; false where it holds an unusual character.
    bool read(std::string_view text) {
        size_ = text.size();
        if (bytes_.size() < size_ + 8) {
            bytes_.resize(2 * size_ + 64);
            kinds_.resize(2 * size_ + 64);
        }
        const auto* in = reinterpret_cast<const unsigned char*>(text.data());
        // Pointers of this call alone, so that the compiler knows that no byte written is one of them.
        char* const low = bytes_.data();
        unsigned char seen = 0;
        for (size_t i = 0; i < size_; ++i) {
            const unsigned char c = in[i];
            seen |= c;
            low[i] = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        ascii_ = seen < 128;
        if (!ascii_) return read_wide(in);
        const uint8_t* const kind = characters_.kind.data();
        uint8_t* const kinds = kinds_.data();
        for (size_t i = 0; i < size_; ++i) kinds[i] = kind[static_cast<unsigned char>(low[i])];
        kinds[size_] = 0;
        return true;
    }

    // Calls word(text, start, end) for every term in order, and other(), where it is asked for, for every other visible
    // sign that does not join.
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
            i = past_word(i);
            for (;;) {
                if (i < n && k[i] & mark) {
                    while (i < n && k[i] & mark) ++i;
                    i = past_word(i);
                } else if (i + 1 < n && joins(i)) {
                    i = past_word(i + 1);
                } else {
                    break;
                }
            }
            word(piece(start, i), start, i);
        }
    }

    // Whether an ampersand joins the term from `start` to `end` to another, as in "AT&T".
    bool joined(size_t start, size_t end) const { return ampersand(end) || (start && ampersand(start - 1)); }

  private:
    // Whether an ampersand stands at i and joins two words of which one is a single character.
    bool ampersand(size_t i) const {
        if (!i || i + 1 >= size_ || (ascii_ ? bytes_[i] : wide_[places_[i]]) != '&') return false;
        const uint8_t* k = kinds_.data();
        if (!(k[i - 1] & (letter | digit)) || !(k[i + 1] & (letter | digit))) return false;
        return i == 1 || !(k[i - 2] & in_word) || i + 2 == size_ || !(k[i + 2] & in_word);
    }

    size_t past_word(size_t i) const {
        const uint8_t* k = kinds_.data();
        while (i < size_ && k[i] & in_word) ++i;
        return i;
    }

    // Whether the sign at i joins what stands on both sides: an apostrophe in a word, a point in a number.
    bool joins(size_t i) const {
        const uint8_t here = kinds_[i], before = kinds_[i - 1], after = kinds_[i + 1];
        return (here & between_letters && before & (letter | mark) && after & letter) ||
               (here & between_digits && before & digit && after & digit);
    }

    std::string_view piece(size_t start, size_t end) const {
        if (ascii_) return {bytes_.data() + start, end - start};
        return {wide_.data() + places_[start], places_[end] - places_[start]};
    }

    bool read_wide(const unsigned char* in) {
        wide_.clear();
        places_.clear();
        size_t characters = 0;
        for (size_t i = 0; i < size_;) {
            uint32_t c = in[i];
            const int more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
            if (more) {
                c &= 0x3Fu >> more;
                for (int j = 1; j <= more; ++j) c = c << 6 | (in[i + j] & 0x3Fu);
            }
            i += 1 + more;
            if (c >= characters_.kind.size()) return false;
            const uint32_t low = characters_.lower[c];
            const uint8_t kind = characters_.kind[low];
            if ((characters_.kind[c] | kind) & unusual) return false;
            places_.push_back(static_cast<uint32_t>(wide_.size()));
            kinds_[characters++] = kind;
            if (low < 0x80) {
                wide_.push_back(static_cast<char>(low));
            } else if (low < 0x800) {
                wide_.push_back(static_cast<char>(0xC0 | low >> 6));
                wide_.push_back(static_cast<char>(0x80 | (low & 0x3F)));
            } else if (low < 0x10000) {
                wide_.push_back(static_cast<char>(0xE0 | low >> 12));
                wide_.push_back(static_cast<char>(0x80 | (low >> 6 & 0x3F)));
                wide_.push_back(static_cast<char>(0x80 | (low & 0x3F)));
            } else {
                wide_.push_back(static_cast<char>(0xF0 | low >> 18));
                wide_.push_back(static_cast<char>(0x80 | (low >> 12 & 0x3F)));
                wide_.push_back(static_cast<char>(0x80 | (low >> 6 & 0x3F)));
                wide_.push_back(static_cast<char>(0x80 | (low & 0x3F)));
            }
        }
        places_.push_back(static_cast<uint32_t>(wide_.size()));
        size_ = characters;
        kinds_[size_] = 0;
        return true;
    }

    const Characters& characters_;
    std::vector<char> bytes_;
    std::vector<uint8_t> kinds_;
    std::vector<uint32_t> places_;
    std::string wide_;
    size_t size_ = 0;
    bool ascii_ = true;
};

}  // namespace hornbook
