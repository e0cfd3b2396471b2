#include "simd.h"

#include <atomic>
#include <cstring>
#include <stdexcept>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hornbook {
namespace {

// Vectors of eight bytes: an extension of GCC and Clang, which compile it for every processor.
typedef uint8_t Bytes __attribute__((vector_size(8)));

inline Bytes load(const uint8_t* at) {
    Bytes values;
    std::memcpy(&values, at, sizeof values);
    return values;
}

inline Bytes all(uint8_t value) { return Bytes{} + value; }

// For each byte, its bits as eight bytes: 255 for a bit that is set.
struct ByteMasks {
    uint8_t of[256][8];
    ByteMasks() {
        for (size_t byte = 0; byte < 256; ++byte)
            for (size_t i = 0; i < 8; ++i) of[byte][i] = byte >> i & 1 ? 255 : 0;
    }
};
const ByteMasks byte_masks;

inline void add_where(uint8_t* sums, size_t bits, Bytes impact) {
    const Bytes before = load(sums);
    Bytes after = before + (load(byte_masks.of[bits]) & impact);
    after |= reinterpret_cast<Bytes>(after < before);
    std::memcpy(sums, &after, sizeof after);
}

// The bits of the sums that are at least `bound`.
inline uint8_t at_least(const uint8_t* sums, Bytes bound) {
    const Bytes is = reinterpret_cast<Bytes>(load(sums) >= bound) & 1;
    uint64_t ones;
    std::memcpy(&ones, &is, sizeof ones);
    // The highest byte of the product gathers a bit from each byte; the first byte gives the lowest bit.
    return static_cast<uint8_t>(ones * 0x0102040810204080 >> 56);
}

void sum_8(uint8_t* sums, size_t groups, size_t step, const QuantisedTerm* terms, size_t count) {
    std::memset(sums, 0, groups * group_strips * strip_windows);
    for (const QuantisedTerm* term = terms; term < terms + count; ++term) {
        const Bytes each = all(term->impact);
        for (size_t s = 0; s < groups * group_strips; ++s)
            for (uint64_t left = term->bits[s / group_strips * step + s % group_strips]; left;) {
                const int at = __builtin_ctzll(left) & ~7;
                add_where(sums + s * strip_windows + at, left >> at & 255, each);
                left &= ~(uint64_t{255} << at);
            }
    }
}

size_t select_8(const uint8_t* sums, const uint8_t* bounds, size_t strips, uint64_t* bits, uint32_t* selected) {
    size_t count = 0;
    for (size_t s = 0; s < strips; ++s) {
        const Bytes bound = all(bounds[s]);
        uint64_t found = 0;
        for (size_t i = 0; i < strip_windows; i += 8)
            found |= uint64_t{at_least(sums + s * strip_windows + i, bound)} << i;
        bits[s] = found;
        selected[count] = static_cast<uint32_t>(s);
        count += found != 0;
    }
    return count;
}

void score_1(double* scores, const double* divisors, const uint64_t* set, const uint64_t* chosen, size_t words,
             double weight, double times) {
    for (size_t w = 0, at = 0; w < words; ++w)
        for (uint64_t left = chosen[w]; left; left &= left - 1, ++at)
            if (left & -left & set[w]) scores[at] += times * (weight / divisors[at]);
}

#if defined(__x86_64__)

using Sum = void (*)(uint8_t* sums, size_t groups, size_t step, const QuantisedTerm* terms);

// Sums up any number of terms, up to `batch` at a time: store[n - 1] stores the sums of n terms, add[n - 1] adds them.
template <size_t batch>
void sum_batches(const Sum (&store)[batch], const Sum (&add)[batch], uint8_t* sums, size_t groups, size_t step,
                 const QuantisedTerm* terms, size_t count) {
    if (!count) {
        std::memset(sums, 0, groups * group_strips * strip_windows);
        return;
    }
    size_t size = count < batch ? count : batch;
    store[size - 1](sums, groups, step, terms);
    while (count -= size) {
        terms += size;
        size = count < batch ? count : batch;
        add[size - 1](sums, groups, step, terms);
    }
}

#define WITH_AVX2 __attribute__((target("avx2,bmi2,popcnt")))

// A batch of terms, whose sums stay in registers until all are added.
template <size_t count, bool add>
WITH_AVX2 void sum_batch_32(uint8_t* sums, size_t groups, size_t step, const QuantisedTerm* terms) {
    // Byte i of a half takes byte i / 8 of its 32 bits, and bit i % 8 of that.
    const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i which = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
    __m256i each[count];
    for (size_t i = 0; i < count; ++i) each[i] = _mm256_set1_epi8(static_cast<char>(terms[i].impact));
    for (size_t s = 0; s < groups * group_strips; ++s)
        for (size_t half = 0; half < 2; ++half) {
            __m256i* const at = reinterpret_cast<__m256i*>(sums + s * strip_windows + half * 32);
            const size_t word = s / group_strips * step + s % group_strips;
            __m256i sum = add ? _mm256_loadu_si256(at) : _mm256_setzero_si256();
            for (size_t i = 0; i < count; ++i) {
                const __m256i all = _mm256_set1_epi32(static_cast<int>(terms[i].bits[word] >> half * 32));
                const __m256i own = _mm256_and_si256(_mm256_shuffle_epi8(all, spread), which);
                sum = _mm256_adds_epu8(sum, _mm256_and_si256(_mm256_cmpeq_epi8(own, which), each[i]));
            }
            _mm256_storeu_si256(at, sum);
        }
}

void sum_32(uint8_t* sums, size_t groups, size_t step, const QuantisedTerm* terms, size_t count) {
    static constexpr Sum store[] = {sum_batch_32<1, false>, sum_batch_32<2, false>, sum_batch_32<3, false>,
                                    sum_batch_32<4, false>};
    static constexpr Sum add[] = {sum_batch_32<1, true>, sum_batch_32<2, true>, sum_batch_32<3, true>,
                                  sum_batch_32<4, true>};
    sum_batches(store, add, sums, groups, step, terms, count);
}

WITH_AVX2 size_t select_32(const uint8_t* sums, const uint8_t* bounds, size_t strips, uint64_t* bits,
                           uint32_t* selected) {
    size_t count = 0;
    for (size_t s = 0; s < strips; ++s) {
        const __m256i bound = _mm256_set1_epi8(static_cast<char>(bounds[s]));
        uint64_t found = 0;
        for (size_t half = 0; half < 2; ++half) {
            const __m256i of =
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + s * strip_windows + half * 32));
            const __m256i is = _mm256_cmpeq_epi8(_mm256_max_epu8(of, bound), of);
            found |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(is))) << half * 32;
        }
        bits[s] = found;
        selected[count] = static_cast<uint32_t>(s);
        count += found != 0;
    }
    return count;
}

WITH_AVX2 void score_4(double* scores, const double* divisors, const uint64_t* set, const uint64_t* chosen,
                       size_t words, double weight, double times) {
    const __m256d weights = _mm256_set1_pd(weight), counts = _mm256_set1_pd(times);
    const __m256i which = _mm256_setr_epi64x(1, 2, 4, 8);
    for (size_t w = 0, at = 0; w < words; ++w) {
        uint64_t bits = _pext_u64(set[w], chosen[w]);
        for (size_t i = at; bits; bits >>= 4, i += 4) {
            const __m256i own = _mm256_and_si256(_mm256_set1_epi64x(static_cast<long long>(bits)), which);
            const __m256d is = _mm256_castsi256_pd(_mm256_cmpeq_epi64(own, which));
            const __m256d part = _mm256_mul_pd(counts, _mm256_div_pd(weights, _mm256_loadu_pd(divisors + i)));
            _mm256_storeu_pd(scores + i, _mm256_add_pd(_mm256_loadu_pd(scores + i), _mm256_and_pd(is, part)));
        }
        at += static_cast<size_t>(__builtin_popcountll(chosen[w]));
    }
}

#define WITH_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,bmi2,popcnt")))

template <size_t count, bool add>
WITH_AVX512 void sum_batch_64(uint8_t* sums, size_t groups, size_t step, const QuantisedTerm* terms) {
    __m512i each[count];
    const uint64_t* bits[count];
    for (size_t i = 0; i < count; ++i) {
        each[i] = _mm512_set1_epi8(static_cast<char>(terms[i].impact));
        bits[i] = terms[i].bits;
    }
    for (size_t at = 0; groups; --groups, at += step)
        for (size_t s = 0; s < group_strips; ++s, sums += strip_windows) {
            __m512i sum = add ? _mm512_loadu_si512(sums) : _mm512_setzero_si512();
            for (size_t i = 0; i < count; ++i) sum = _mm512_mask_adds_epu8(sum, bits[i][at + s], sum, each[i]);
            _mm512_storeu_si512(sums, sum);
        }
}

void sum_64(uint8_t* sums, size_t groups, size_t step, const QuantisedTerm* terms, size_t count) {
    static constexpr Sum store[] = {sum_batch_64<1, false>, sum_batch_64<2, false>, sum_batch_64<3, false>,
                                    sum_batch_64<4, false>, sum_batch_64<5, false>, sum_batch_64<6, false>,
                                    sum_batch_64<7, false>, sum_batch_64<8, false>};
    static constexpr Sum add[] = {sum_batch_64<1, true>, sum_batch_64<2, true>, sum_batch_64<3, true>,
                                  sum_batch_64<4, true>, sum_batch_64<5, true>, sum_batch_64<6, true>,
                                  sum_batch_64<7, true>, sum_batch_64<8, true>};
    sum_batches(store, add, sums, groups, step, terms, count);
}

WITH_AVX512 size_t select_64(const uint8_t* sums, const uint8_t* bounds, size_t strips, uint64_t* bits,
                             uint32_t* selected) {
    for (size_t s = 0; s < strips; ++s) {
        const __m512i bound = _mm512_set1_epi8(static_cast<char>(bounds[s]));
        bits[s] = _mm512_cmpge_epu8_mask(_mm512_loadu_si512(sums + s * strip_windows), bound);
    }
    const __m256i eight_more = _mm256_set1_epi32(8);
    __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    size_t count = 0;
    for (size_t s = 0; s < strips; s += 8, numbers = _mm256_add_epi32(numbers, eight_more)) {
        const __mmask8 there = static_cast<__mmask8>(strips - s < 8 ? (1 << (strips - s)) - 1 : 255);
        const __m512i words = _mm512_maskz_loadu_epi64(there, bits + s);
        const __mmask8 any = _mm512_test_epi64_mask(words, words);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(selected + count), _mm256_maskz_compress_epi32(any, numbers));
        count += static_cast<size_t>(__builtin_popcount(any));
    }
    return count;
}

WITH_AVX512 void score_8(double* scores, const double* divisors, const uint64_t* set, const uint64_t* chosen,
                         size_t words, double weight, double times) {
    const __m512d weights = _mm512_set1_pd(weight), counts = _mm512_set1_pd(times);
    for (size_t w = 0, at = 0; w < words; ++w) {
        uint64_t bits = _pext_u64(set[w], chosen[w]);
        for (size_t i = at; bits; bits >>= 8, i += 8) {
            const __m512d part = _mm512_mul_pd(counts, _mm512_div_pd(weights, _mm512_loadu_pd(divisors + i)));
            const __m512d before = _mm512_loadu_pd(scores + i);
            _mm512_storeu_pd(scores + i, _mm512_mask_add_pd(before, static_cast<__mmask8>(bits), before, part));
        }
        at += static_cast<size_t>(__builtin_popcountll(chosen[w]));
    }
}

#endif

bool is_supported(const std::string& instructions) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool since_2013 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
    if (instructions == "avx512")
        return since_2013 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (instructions == "avx2") return since_2013;
#endif
    return instructions == "portable";
}

const Kernels* kernels_for(const std::string& instructions) {
#if defined(__x86_64__)
    static constexpr Kernels avx512{sum_64, select_64, score_8}, avx2{sum_32, select_32, score_4};
    if (instructions == "avx512") return &avx512;
    if (instructions == "avx2") return &avx2;
#endif
    static constexpr Kernels portable{sum_8, select_8, score_1};
    return &portable;
}

// Initialised when the module is loaded, before any thread can read it.
std::atomic<const Kernels*> selected_kernels{kernels_for(instructions().front())};

}  // namespace

std::vector<std::string> instructions() {
    std::vector<std::string> supported;
    for (const char* name : {"avx512", "avx2", "portable"})
        if (is_supported(name)) supported.push_back(name);
    return supported;
}

const Kernels& kernels() { return *selected_kernels.load(std::memory_order_acquire); }

void use_instructions(const std::string& name) {
    if (!is_supported(name)) throw std::invalid_argument("this processor has no " + name);
    selected_kernels.store(kernels_for(name), std::memory_order_release);
}

}  // namespace hornbook
