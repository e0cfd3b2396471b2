// The inner loops of the search, for each set of instructions that processors have, with the same result on all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "index_layout.h"

namespace hornbook {

// A term with its impact quantised to 8 bits (Anh, de Kretser and Moffat, "Vector-space ranking with effective early
// termination", 2001), and a bitmap of what it impacts: windows or rows, a word for each strip of 64.
struct QuantisedTerm {
    const uint64_t* bits;
    uint8_t impact;
};

// Arrays that a kernel writes need room for this many more entries behind the last.
constexpr size_t simd_room = 8;

struct Kernels {
    // Adds up the impacts of some terms for each bit of their bitmaps, saturating at 255. The bitmaps have `groups`
    // groups of `group_strips` words; the next group starts `step` words after the one before.
    void (*sum)(uint8_t* sums, size_t groups, size_t step, const QuantisedTerm* terms, size_t count);
    // Sets the bits of the sums that are at least the bound of their strip. Lists the strips with any, and returns how
    // many there are.
    size_t (*select)(const uint8_t* sums, const uint8_t* bounds, size_t strips, uint64_t* bits, uint32_t* selected);
    // Adds times * (weight / divisor) to the scores whose bits are set. The scores and divisors are those of the
    // `chosen` bits, one after another.
    void (*score)(double* scores, const double* divisors, const uint64_t* set, const uint64_t* chosen, size_t words,
                  double weight, double times);
};

// The sets of instructions that this processor has, the fastest first.
std::vector<std::string> instructions();

// The kernels in use: those of the fastest set, unless a test selected another.
const Kernels& kernels();

// Selects the kernels from now on, in all threads. For tests.
void use_instructions(const std::string& name);

}  // namespace hornbook
