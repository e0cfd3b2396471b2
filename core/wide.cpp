#include "wide.h"

#include <cstring>
#include <stdexcept>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hornbook {
namespace {

// Eight at a time, which compilers know how to do everywhere.
typedef uint8_t Eight __attribute__((vector_size(8)));

inline Eight load(const uint8_t* at) {
    Eight values;
    std::memcpy(&values, at, sizeof values);
    return values;
}

inline Eight all(uint8_t value) { return Eight{} + value; }

// For each byte, eight of which those are 255 whose bits are set.
struct Spread {
    uint8_t of[256][8];
    Spread() {
        for (size_t byte = 0; byte < 256; ++byte)
            for (size_t i = 0; i < 8; ++i) of[byte][i] = byte >> i & 1 ? 255 : 0;
    }
};
const Spread spread;

inline void add_where(uint8_t* sums, size_t bits, Eight weight) {
    const Eight before = load(sums);
    Eight after = before + (load(spread.of[bits]) & weight);
    after |= reinterpret_cast<Eight>(after < before);
    std::memcpy(sums, &after, sizeof after);
}

inline uint8_t at_least(const uint8_t* sums, Eight enough) {
    const Eight found = reinterpret_cast<Eight>(load(sums) >= enough) & 1;
    uint64_t ones;
    std::memcpy(&ones, &found, sizeof ones);
    // The product's highest byte takes one bit from each byte, of which the lowest comes first.
    return static_cast<uint8_t>(ones * 0x0102040810204080 >> 56);
}

void add_8(uint8_t* sums, size_t strips, const Weighed* terms, size_t count) {
    for (const Weighed* term = terms; term < terms + count; ++term) {
        const Eight each = all(term->weight);
        for (size_t s = 0; s < strips; ++s)
            for (uint64_t left = term->windows.bits[s]; left;) {
                const int at = __builtin_ctzll(left) & ~7;
                add_where(sums + s * strip + at, left >> at & 255, each);
                left &= ~(uint64_t{255} << at);
            }
    }
}

void reach_8(const uint8_t* sums, const uint8_t* least, size_t strips, uint64_t* bits) {
    for (size_t s = 0; s < strips; ++s) {
        const Eight enough = all(least[s]);
        uint64_t found = 0;
        for (size_t i = 0; i < strip; i += 8) found |= uint64_t{at_least(sums + s * strip + i, enough)} << i;
        bits[s] = found;
    }
}

void add_rows_8(uint8_t* sums, const Held* held, const Held* end, uint8_t weight) {
    const Eight each = all(weight);
    for (; held < end; ++held) add_where(sums + held->chosen * window, held->rows, each);
}

void reach_rows_8(const uint8_t* sums, uint8_t least, size_t count, uint8_t* rows) {
    for (const Eight enough = all(least); count; --count, sums += window) *rows++ = at_least(sums, enough);
}

#if defined(__x86_64__)

#define WITH_AVX2 __attribute__((target("avx2")))

// Several terms at once, whose sums then stay where they are added.
template <size_t count>
WITH_AVX2 void add_some_32(uint8_t* sums, size_t strips, const Weighed* terms) {
    // Byte i of a half takes byte i / 8 of its 32 bits, and of that bit i % 8.
    const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i which = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
    __m256i each[count];
    for (size_t i = 0; i < count; ++i) each[i] = _mm256_set1_epi8(static_cast<char>(terms[i].weight));
    for (size_t s = 0; s < strips; ++s)
        for (size_t half = 0; half < 2; ++half) {
            __m256i* const at = reinterpret_cast<__m256i*>(sums + s * strip + half * 32);
            __m256i sum = _mm256_loadu_si256(at);
            for (size_t i = 0; i < count; ++i) {
                const __m256i all = _mm256_set1_epi32(static_cast<int>(terms[i].windows.bits[s] >> half * 32));
                const __m256i own = _mm256_and_si256(_mm256_shuffle_epi8(all, spread), which);
                sum = _mm256_adds_epu8(sum, _mm256_and_si256(_mm256_cmpeq_epi8(own, which), each[i]));
            }
            _mm256_storeu_si256(at, sum);
        }
}

WITH_AVX2 void add_32(uint8_t* sums, size_t strips, const Weighed* terms, size_t count) {
    for (; count >= 4; count -= 4, terms += 4) add_some_32<4>(sums, strips, terms);
    if (count == 3) add_some_32<3>(sums, strips, terms);
    if (count == 2) add_some_32<2>(sums, strips, terms);
    if (count == 1) add_some_32<1>(sums, strips, terms);
}

WITH_AVX2 void reach_32(const uint8_t* sums, const uint8_t* least, size_t strips, uint64_t* bits) {
    for (size_t s = 0; s < strips; ++s) {
        const __m256i enough = _mm256_set1_epi8(static_cast<char>(least[s]));
        uint64_t found = 0;
        for (size_t half = 0; half < 2; ++half) {
            const __m256i of = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + s * strip + half * 32));
            const __m256i is = _mm256_cmpeq_epi8(_mm256_max_epu8(of, enough), of);
            found |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(is))) << half * 32;
        }
        bits[s] = found;
    }
}

WITH_AVX2 void add_rows_32(uint8_t* sums, const Held* held, const Held* end, uint8_t weight) {
    const __m128i which = _mm_set1_epi64x(static_cast<long long>(0x8040201008040201));
    const __m128i each = _mm_set1_epi8(static_cast<char>(weight));
    for (; held < end; ++held) {
        __m128i* const at = reinterpret_cast<__m128i*>(sums + held->chosen * window);
        const __m128i own = _mm_and_si128(_mm_set1_epi8(static_cast<char>(held->rows)), which);
        const __m128i added = _mm_and_si128(_mm_cmpeq_epi8(own, which), each);
        _mm_storel_epi64(at, _mm_adds_epu8(_mm_loadl_epi64(at), added));
    }
}

WITH_AVX2 void reach_rows_32(const uint8_t* sums, uint8_t least, size_t count, uint8_t* rows) {
    const __m128i enough = _mm_set1_epi8(static_cast<char>(least));
    for (; count; --count, sums += window) {
        const __m128i of = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(sums));
        const __m128i is = _mm_cmpeq_epi8(_mm_max_epu8(of, enough), of);
        *rows++ = static_cast<uint8_t>(_mm_movemask_epi8(is));
    }
}

#define WITH_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

template <size_t count>
WITH_AVX512 void add_some_64(uint8_t* sums, size_t strips, const Weighed* terms) {
    __m512i each[count];
    const uint64_t* bits[count];
    for (size_t i = 0; i < count; ++i) {
        each[i] = _mm512_set1_epi8(static_cast<char>(terms[i].weight));
        bits[i] = terms[i].windows.bits;
    }
    for (size_t s = 0; s < strips; ++s) {
        __m512i sum = _mm512_loadu_si512(sums + s * strip);
        for (size_t i = 0; i < count; ++i) sum = _mm512_mask_adds_epu8(sum, bits[i][s], sum, each[i]);
        _mm512_storeu_si512(sums + s * strip, sum);
    }
}

WITH_AVX512 void add_64(uint8_t* sums, size_t strips, const Weighed* terms, size_t count) {
    for (; count >= 4; count -= 4, terms += 4) add_some_64<4>(sums, strips, terms);
    if (count == 3) add_some_64<3>(sums, strips, terms);
    if (count == 2) add_some_64<2>(sums, strips, terms);
    if (count == 1) add_some_64<1>(sums, strips, terms);
}

WITH_AVX512 void reach_64(const uint8_t* sums, const uint8_t* least, size_t strips, uint64_t* bits) {
    for (size_t s = 0; s < strips; ++s) {
        const __m512i enough = _mm512_set1_epi8(static_cast<char>(least[s]));
        bits[s] = _mm512_cmpge_epu8_mask(_mm512_loadu_si512(sums + s * strip), enough);
    }
}

WITH_AVX512 void add_rows_64(uint8_t* sums, const Held* held, const Held* end, uint8_t weight) {
    const __m128i each = _mm_set1_epi8(static_cast<char>(weight));
    for (; held < end; ++held) {
        __m128i* const at = reinterpret_cast<__m128i*>(sums + held->chosen * window);
        const __m128i of = _mm_loadl_epi64(at);
        _mm_storel_epi64(at, _mm_mask_adds_epu8(of, static_cast<__mmask16>(held->rows), of, each));
    }
}

WITH_AVX512 void reach_rows_64(const uint8_t* sums, uint8_t least, size_t count, uint8_t* rows) {
    const __m128i enough = _mm_set1_epi8(static_cast<char>(least));
    for (; count; --count, sums += window) {
        const __m128i of = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(sums));
        *rows++ = static_cast<uint8_t>(_mm_cmpge_epu8_mask(of, enough));
    }
}

#endif

bool can(const std::string& instructions) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (instructions == "avx512") return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (instructions == "avx2") return __builtin_cpu_supports("avx2");
#endif
    return instructions == "portable";
}

Wide made_of(const std::string& instructions) {
#if defined(__x86_64__)
    if (instructions == "avx512") return {add_64, reach_64, add_rows_64, reach_rows_64};
    if (instructions == "avx2") return {add_32, reach_32, add_rows_32, reach_rows_32};
#endif
    return {add_8, reach_8, add_rows_8, reach_rows_8};
}

}  // namespace

std::vector<std::string> instructions() {
    std::vector<std::string> found;
    for (const char* name : {"avx512", "avx2", "portable"})
        if (can(name)) found.push_back(name);
    return found;
}

Wide wide = made_of(instructions().front());

void use_instructions(const std::string& name) {
    if (!can(name)) throw std::invalid_argument("this processor has no " + name);
    wide = made_of(name);
}

}  // namespace hornbook
