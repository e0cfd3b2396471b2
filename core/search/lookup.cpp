#include <algorithm>
#include <cassert>
#include <string_view>
#include <utility>
#include <vector>

#include "hits.h"

namespace hornbook {
namespace {

// Returns the first of the ascending texts, from `first` on, that is not below `text`. A galloping search, as most
// texts are skipped.
size_t seek(const Texts& texts, size_t first, std::string_view text) {
    size_t step = 1;
    while (first + step <= texts.size && texts[first + step - 1] < text) {
        first += step;
        step *= 2;
    }
    for (size_t end = std::min(first + step - 1, texts.size); first < end;) {
        const size_t middle = first + (end - first) / 2;
        if (texts[middle] < text)
            first = middle + 1;
        else
            end = middle;
    }
    assert(first == texts.size || texts[first] >= text);
    return first;
}

}  // namespace

Out<int32_t> look_up(const In<int32_t>& offsets, const In<uint8_t>& data, const In<int32_t>& dictionary_offsets,
                     const In<uint8_t>& dictionary_data) {
    const Texts texts(offsets, data), dictionary(dictionary_offsets, dictionary_data);
    std::vector<int32_t> places(texts.size, -1);
    for (size_t i = 0, j = 0; i < texts.size && j < dictionary.size;) {
        j = seek(dictionary, j, texts[i]);
        if (j == dictionary.size) break;
        if (dictionary[j] == texts[i]) places[i] = static_cast<int32_t>(j);
        i = dictionary[j] == texts[i] ? i + 1 : seek(texts, i + 1, dictionary[j]);
    }
    return give(std::move(places));
}

}  // namespace hornbook
