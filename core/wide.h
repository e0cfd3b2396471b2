// Sums of whole numbers below 256, many at a time: as wide as the processor is, with the same result everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hornbook {

constexpr size_t window = 8; // rows that are summed up as one
constexpr size_t strip = 64;   // windows that are looked at together

// Where a term stands: in which windows, and in which of their rows.
struct Windows {
    const uint64_t* bits;    // of the windows, a word for each strip
    const uint32_t* before;  // how many are set before each strip
    const uint8_t* rows;     // of each set one: which of its rows, as bits
};

// A term with what it adds.
struct Weighed {
    Windows windows;
    uint8_t weight;
};

// The rows of one of some chosen windows, as bits, in which a term stands.
struct Held {
    uint32_t chosen, rows;
};

struct Wide {
    // Adds the weights of some terms to the sums of the windows in which they stand; what would pass 255 stays there.
    void (*add)(uint8_t* sums, size_t strips, const Weighed* terms, size_t count);
    // Sets the bits of the sums that are not below the number of their strip.
    void (*reach)(const uint8_t* sums, const uint8_t* least, size_t strips, uint64_t* bits);
    // Adds `weight` to the sums of the rows in which a term stands, [chosen windows, rows of a window].
    void (*add_rows)(uint8_t* sums, const Held* held, const Held* end, uint8_t weight);
    // Sets the bits of the rows of `count` windows whose sums are not below a number.
    void (*reach_rows)(const uint8_t* sums, uint8_t least, size_t count, uint8_t* rows);
};

// The sets of instructions that this processor has, the fastest first.
std::vector<std::string> instructions();

// As many at a time as the fastest of them can.
extern Wide wide;

// Takes another one of them from now on: for tests.
void use_instructions(const std::string& name);

}  // namespace hornbook
