// Bits of 64-bit words.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hornbook {

inline uint32_t count_ones(uint64_t bits) { return static_cast<uint32_t>(__builtin_popcountll(bits)); }
inline uint32_t first_one(uint64_t bits) { return static_cast<uint32_t>(__builtin_ctzll(bits)); }

// The lowest `count` bits, count < 64.
inline uint64_t low_bits(size_t count) { return (uint64_t{1} << count) - 1; }

constexpr size_t list_room = 4;

// Appends `first` + the number of each set bit at `to`; returns the end. Writes four at a time without a branch per bit,
// as their number is hard to predict: there must be room for `list_room` more.
template <class Number>
Number* list_ones(uint64_t bits, size_t first, Number* to) {
    Number* const end = to + count_ones(bits);
    do
        for (size_t i = 0; i < list_room; ++i, ++to, bits &= bits - 1)
            *to = static_cast<Number>(first + first_one(bits | uint64_t{1} << 63));
    while (to < end);
    return end;
}

}  // namespace hornbook
