// Sums of whole numbers below 256, many at a time: as wide as the processor is, with the same result everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "windows.h"

namespace hornbook {

// The windows in which a term stands, as bits, a word for each strip, and what it adds there.
struct Weighed {
    const uint64_t* windows;
    uint8_t weight;
};

constexpr size_t wide_room = 8;

struct Wide {
    // Sums up the weights of some terms for each window in which they stand, eight strips at a time, between whose words
    // there may be others: from one eight to the next are `step`. What would pass 255 stays there.
    void (*sum)(uint8_t* sums, size_t eights, size_t step, const Weighed* terms, size_t count);
    // Sets the bits of the sums that are not below the number of their strip. Returns how many strips have any, which
    // are written down; behind them there is room for `wide_room` more.
    size_t (*reach)(const uint8_t* sums, const uint8_t* least, size_t strips, uint64_t* bits, uint32_t* some);
    // Of the bits of some words only those that are `chosen` have a score, one after another: adds
    // times * (weight / divisor) to the scores whose bits are set. Behind the last there is such room, too.
    void (*score)(double* scores, const double* divisors, const uint64_t* set, const uint64_t* chosen, size_t words,
                  double weight, double times);
};

// The sets of instructions that this processor has, the fastest first.
std::vector<std::string> instructions();

// As many at a time as the fastest of them can.
extern Wide wide;

// Takes another one of them from now on: for tests.
void use_instructions(const std::string& name);

}  // namespace hornbook
