// Words numbered in the order in which they first come.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace hornbook {

class Numbering {
  public:
    // A word on the way to its number.
    struct Asked {
        std::string_view word;
        uint64_t key, hash;
    };

    // Fetches what `number` will look at: those who ask for many words at once need not wait for memory at each.
    Asked ask(std::string_view word) const {
        const uint64_t key = key_of(word), hash = hash_of(key, word.size());
#if defined(__GNUC__)
        __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
#endif
        return {word, key, hash};
    }

    // The number of a word, a new one where it was not seen before.
    uint32_t number(const Asked& asked) {
        const size_t size = asked.word.size();
        Slot& slot = find(asked);
        if (slot.id == none) {
            slot = {asked.key, static_cast<uint32_t>(size), this->size()};
            bytes_.append(asked.word);
            starts_.push_back(bytes_.size());
            if (2 * starts_.size() > slots_.size()) grow();
            return this->size() - 1;
        }
        return slot.id;
    }

    uint32_t operator()(std::string_view word) { return number(ask(word)); }

    std::string_view operator[](uint32_t id) const {
        return {bytes_.data() + starts_[id], starts_[id + 1] - starts_[id]};
    }

    uint32_t size() const { return static_cast<uint32_t>(starts_.size() - 1); }

  private:
    // A word of up to 8 bytes is known by its key and its size, so that most words are found with one look at memory.
    struct Slot {
        uint64_t key;
        uint32_t size, id;
    };
    static constexpr uint32_t none = UINT32_MAX;
    static constexpr uint64_t one = 0x9E3779B97F4A7C15u, two = 0xD6E8FEB86659FD93u;

    static uint64_t mix(uint64_t a, uint64_t b) {
        const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
        return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
    }

    // A copy of a size that the compiler knows is one instruction.
    template <class T>
    static uint64_t load(const char* p) {
        T value;
        std::memcpy(&value, p, sizeof value);
        return value;
    }

    // The bytes of a word of up to 8, those in the middle perhaps twice; of a longer one a hash.
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

    // The slot of a word, or the empty one where it goes.
    Slot& find(const Asked& asked) {
        const size_t size = asked.word.size(), mask = slots_.size() - 1;
        for (size_t at = asked.hash & mask;; at = (at + 1) & mask) {
            Slot& slot = slots_[at];
            if (slot.id == none) return slot;
            if (slot.key == asked.key && slot.size == size && (size <= 8 || (*this)[slot.id] == asked.word)) return slot;
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
