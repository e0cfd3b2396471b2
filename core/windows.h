// How a block holds the windows of its terms; see hornbook/corpus/inverted.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hornbook {

constexpr size_t window = 8;  // rows that are summed up as one
constexpr size_t strip = 64;  // windows that are looked at together, the bits of a word
constexpr size_t eight = 8;   // strips whose words stand side by side
// Behind their words stands how many bits are set before each of them, in 16 bits: where bits are read, that is at hand.
constexpr size_t eight_words = eight + eight * sizeof(uint16_t) / sizeof(uint64_t);

constexpr size_t most_rows = window << 16;  // of a block: windows are numbered in 16 bits

inline size_t eights_of(size_t strips) { return (strips + eight - 1) / eight; }
inline size_t words_of(size_t strips) { return eights_of(strips) * eight_words; }
inline size_t word_of(size_t s) { return s / eight * eight_words + s % eight; }

// At which byte it stands how many bits are set before a strip.
inline size_t before_at(size_t s) { return (s / eight * eight_words + eight) * sizeof(uint64_t) + s % eight * sizeof(uint16_t); }

inline uint16_t set_before(const uint64_t* words, size_t s) {
    uint16_t count;
    std::memcpy(&count, reinterpret_cast<const char*>(words) + before_at(s), sizeof count);
    return count;
}

// Fills in how many bits are set before each strip.
inline void count_before(uint64_t* words, size_t strips) {
    uint16_t count = 0;
    for (size_t s = 0; s < strips; ++s) {
        std::memcpy(reinterpret_cast<char*>(words) + before_at(s), &count, sizeof count);
        count = static_cast<uint16_t>(count + __builtin_popcountll(words[word_of(s)]));
    }
}

}  // namespace hornbook
