// Arrays that come from and go to Python without a copy.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "words.h"

namespace hornbook {

namespace nb = nanobind;

template <class T>
using In = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T>
using Out = nb::ndarray<nb::numpy, T, nb::ndim<1>>;

// Hands a vector over to NumPy.
template <class T>
Out<T> give(std::vector<T>&& values) {
    auto* held = new std::vector<T>(std::move(values));
    nb::capsule owner(held, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return Out<T>(held->data(), {held->size()}, owner);
}

template <class T>
Out<T> give(std::unique_ptr<T[]>&& values, size_t size) {
    nb::capsule owner(values.get(), [](void* p) noexcept { delete[] static_cast<T*>(p); });
    return Out<T>(values.release(), {size}, owner);
}

// Texts as Arrow holds them: text i is data[offsets[i]:offsets[i + 1]].
struct Texts {
    const int32_t* offsets;
    const char* data;
    size_t size;

    Texts(const In<int32_t>& o, const In<uint8_t>& d)
        : offsets(o.data()), data(reinterpret_cast<const char*>(d.data())), size(o.size() ? o.size() - 1 : 0) {}

    std::string_view operator[](size_t i) const {
        return {data + offsets[i], static_cast<size_t>(offsets[i + 1] - offsets[i])};
    }
};

// The tables of hornbook/terms/characters.py.
inline Characters characters(const In<uint8_t>& kind, const In<uint32_t>& lower) {
    if (kind.size() != lower.size() || kind.size() < 128) throw std::invalid_argument("kinds and lower case differ");
    return {{kind.data(), kind.data() + kind.size()}, {lower.data(), lower.data() + lower.size()}};
}

}  // namespace hornbook
