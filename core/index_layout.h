// The layout of a block, in C++: hornbook/index/layout.py describes it and holds the same constants.
//
// One word, one unit: a row is a unit of the corpus; a window is 8 rows; a strip is 64 windows (512 rows), one bit each
// in a 64-bit word; a group is 8 strips, whose words lie side by side in a bitmap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hornbook {

// Bitmaps hold 16-bit ranks inside 64-bit words, and the search reads bytes of such words by their place.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "blocks are read as little-endian memory");

constexpr size_t window_rows = 8;
constexpr size_t strip_windows = 64;
constexpr size_t strip_rows = strip_windows * window_rows;
constexpr size_t group_strips = 8;
// After the words of a group come the ranks of its strips (16 bits each): near where the bits are read.
constexpr size_t group_words = group_strips + group_strips * sizeof(uint16_t) / sizeof(uint64_t);

constexpr size_t max_windows = size_t{1} << 16;  // of a block: windows are numbered in 16 bits
constexpr size_t max_strips = max_windows / strip_windows;
constexpr size_t max_block_rows = max_windows * window_rows;

inline size_t groups_of(size_t strips) { return (strips + group_strips - 1) / group_strips; }

// Words of a bitmap over this many strips, ranks included.
inline size_t bitmap_words(size_t strips) { return groups_of(strips) * group_words; }

// Index of a strip's word in a bitmap.
inline size_t word_of_strip(size_t s) { return s / group_strips * group_words + s % group_strips; }

// Byte offset of a strip's rank in a bitmap.
inline size_t rank_at(size_t s) {
    return (s / group_strips * group_words + group_strips) * sizeof(uint64_t) + s % group_strips * sizeof(uint16_t);
}

// The rank of a strip: how many bits are set before it.
inline uint16_t rank_before(const uint64_t* words, size_t s) {
    uint16_t count;
    std::memcpy(&count, reinterpret_cast<const char*>(words) + rank_at(s), sizeof count);
    return count;
}

// Writes the rank of every strip.
inline void fill_ranks(uint64_t* words, size_t strips) {
    uint16_t count = 0;
    for (size_t s = 0; s < strips; ++s) {
        std::memcpy(reinterpret_cast<char*>(words) + rank_at(s), &count, sizeof count);
        count = static_cast<uint16_t>(count + __builtin_popcountll(words[word_of_strip(s)]));
    }
}

}  // namespace hornbook
