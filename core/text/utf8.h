// Characters of UTF-8. Texts come from Arrow string arrays, which hold valid UTF-8; here any other bytes give a wrong
// character at worst, and nothing is read beyond the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hornbook {

struct Decoded {
    uint32_t character;  // UINT32_MAX where the text ends within it
    size_t next;         // start of the next character
};

// Decodes the character that starts at i < text.size().
inline Decoded decode(std::string_view text, size_t i) {
    uint32_t c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) return {c, i + 1};
    const size_t more = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    if (i + more >= text.size()) return {UINT32_MAX, text.size()};
    c &= 0x3Fu >> more;
    for (size_t j = 1; j <= more; ++j) c = c << 6 | (static_cast<unsigned char>(text[i + j]) & 0x3Fu);
    return {c, i + more + 1};
}

inline bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Start of the character after the one at i, and of the one before i > 0.
inline size_t next_character(std::string_view text, size_t i) {
    do ++i;
    while (i < text.size() && is_continuation(text[i]));
    return i;
}

inline size_t previous_character(std::string_view text, size_t i) {
    do --i;
    while (i > 0 && is_continuation(text[i]));
    return i;
}

inline void append_utf8(std::string& to, uint32_t c) {
    const auto put = [&](uint32_t byte) { to.push_back(static_cast<char>(byte)); };
    if (c < 0x80) return put(c);
    if (c < 0x800) {
        put(0xC0 | c >> 6);
    } else if (c < 0x10000) {
        put(0xE0 | c >> 12);
        put(0x80 | (c >> 6 & 0x3F));
    } else {
        put(0xF0 | c >> 18);
        put(0x80 | (c >> 12 & 0x3F));
        put(0x80 | (c >> 6 & 0x3F));
    }
    put(0x80 | (c & 0x3F));
}

}  // namespace hornbook
