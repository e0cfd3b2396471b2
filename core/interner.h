// Numbers words in the order of their first occurrence.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace hornbook {

// A hash table with linear probing whose words lie one after another in one buffer.
class Interner {
  public:
    // A word with its hash, ready to be looked up.
    struct Probe {
        std::string_view word;
        uint64_t key, hash;
    };

    // Hashes a word and prefetches its slot: to look up many words, probe them all, then intern them.
    Probe probe(std::string_view word) const {
        const uint64_t key = key_of(word), hash = hash_of(key, word.size());
        __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
        return {word, key, hash};
    }

    // Returns the number of a word, the next one if it is new.
    uint32_t intern(const Probe& probe) {
        Slot& slot = find(probe);
        if (slot.id != none) return slot.id;
        const uint32_t id = size();
        if (id == none) throw std::length_error("over 4 billion different words");
        slot = {probe.key, static_cast<uint32_t>(probe.word.size()), id};
        bytes_.append(probe.word);
        starts_.push_back(bytes_.size());
        if (2 * starts_.size() > slots_.size()) grow();
        return id;
    }

    uint32_t intern(std::string_view word) { return intern(probe(word)); }

    std::string_view operator[](uint32_t id) const {
        return {bytes_.data() + starts_[id], starts_[id + 1] - starts_[id]};
    }

    uint32_t size() const { return static_cast<uint32_t>(starts_.size() - 1); }

  private:
    // The key of a word of up to 8 bytes identifies it together with its size, so most look-ups touch one slot only.
    struct Slot {
        uint64_t key;
        uint32_t size, id;
    };
    static constexpr uint32_t none = UINT32_MAX;
    static constexpr uint64_t one = 0x9E3779B97F4A7C15u, two = 0xD6E8FEB86659FD93u;

    // Folds the product of 128 bits into 64, as wyhash does.
    static uint64_t mix(uint64_t a, uint64_t b) {
#ifdef __SIZEOF_INT128__
        __extension__ typedef unsigned __int128 Wide;
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
#else
        const uint64_t low = UINT32_MAX, a0 = a & low, a1 = a >> 32, b0 = b & low, b1 = b >> 32;
        const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (middle & low);
        return (a * b) ^ (a1 * b1 + (middle >> 32) + (other >> 32));
#endif
    }

    // A copy of a constant size compiles to one instruction.
    template <class T>
    static uint64_t load(const char* p) {
        T value;
        std::memcpy(&value, p, sizeof value);
        return value;
    }

    // The bytes of a word of up to 8 bytes (some may occur twice), a hash of a longer one.
    static uint64_t key_of(std::string_view word) {
        const char* p = word.data();
        size_t left = word.size();
        if (left <= 8) {
            if (left >= 4) return load<uint32_t>(p) << 32 | load<uint32_t>(p + left - 4);
            return left ? load<uint8_t>(p) << 16 | load<uint8_t>(p + left / 2) << 8 | load<uint8_t>(p + left - 1) : 0;
        }
        uint64_t h = 0;
        for (; left > 8; left -= 8, p += 8) h = mix(h ^ load<uint64_t>(p), two);
        return mix(h ^ load<uint64_t>(p + left - 8), one);
    }

    static uint64_t hash_of(uint64_t key, size_t size) { return mix(key ^ size * one, two); }

    // Returns the slot of a word, or the empty one where it belongs.
    Slot& find(const Probe& probe) {
        const size_t size = probe.word.size(), mask = slots_.size() - 1;
        for (size_t at = probe.hash & mask;; at = (at + 1) & mask) {
            Slot& slot = slots_[at];
            if (slot.id == none) return slot;
            if (slot.key == probe.key && slot.size == size && (size <= 8 || (*this)[slot.id] == probe.word))
                return slot;
        }
    }

    void grow() {
        std::vector<Slot> old(2 * slots_.size(), Slot{0, 0, none});
        old.swap(slots_);
        for (const Slot& slot : old)
            if (slot.id != none) find({(*this)[slot.id], slot.key, hash_of(slot.key, slot.size)}) = slot;
    }

    std::vector<Slot> slots_ = std::vector<Slot>(1 << 16, Slot{0, 0, none});
    std::vector<uint64_t> starts_{0};
    std::string bytes_;
};

}  // namespace hornbook
